"""Which layout a folder has."""

from pathlib import Path

from pipeline.data.layouts import bids, decathlon, dicom, folders, lists, nnunet, pattern
from pipeline.data.layouts.found import Listing, told_apart
from pipeline.data.layouts.private import pseudonymous
from pipeline.errors import UserError, nearest

_LAYOUTS = {
    "list": lists,
    "nnunet": nnunet,
    "decathlon": decathlon,
    "bids": bids,
    "folders": folders,
    "dicom": dicom,
}
"""Those that are recognised, most particular first."""

_PATTERN = "pattern:"


def listed(root: Path, layout: str | None = None) -> tuple[str, Listing] | None:
    """The name of the layout of ``root`` and what it finds; None if no layout recognises it.

    Args:
        root: a folder, or a file that lists cases.
        layout: the name of a layout, or ``pattern:`` and a pattern; None recognises it.

    Raises:
        UserError: there is no such layout, what it needs is missing or damaged, or two of its cases
            are one DICOM study.
    """
    if layout is None:
        layout = next((name for name in _LAYOUTS if _LAYOUTS[name].recognises(root)), None)
        if layout is None:
            return None
    if layout.startswith(_PATTERN):
        return "pattern", _checked(pattern.find(root, layout.removeprefix(_PATTERN)))
    if layout not in _LAYOUTS:
        known = [*_LAYOUTS, "images", _PATTERN + "{case}_{modality}.nii.gz"]
        raise UserError(f"unknown layout {layout!r}: {nearest(layout, known)}")
    return layout, _checked(_LAYOUTS[layout].find(root))


def _checked(listing: Listing) -> Listing:
    return told_apart(pseudonymous(listing))
