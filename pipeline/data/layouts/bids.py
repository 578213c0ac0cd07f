"""BIDS: ``sub-*/[ses-*/]anat/*_T1w.nii.gz`` with contrast told by ``ce-``."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from pipeline.data.layouts.found import Found, Listing, gathered, unlisted
from pipeline.data.modalities import canonical
from pipeline.data.volumes import is_volume, stem

_LABELS = ("dseg", "seg", "label")


def recognises(root: Path) -> bool:
    """Whether ``root`` holds subjects with anatomical images, or is one."""
    return next(_sessions(root), None) is not None


def find(root: Path) -> Listing:
    """A case a subject and session.

    The label is the one file ``*_dseg`` (or ``_seg``, ``_label``) beside the images or at the same
    place below ``derivatives/*/``; where there are several, none is taken.
    """
    closed: list[OSError] = []
    cases = [_case(root, anat) for anat in _sessions(root, closed.append)]
    return Listing(root, (*cases, *(unlisted(root, error) for error in closed)))


def _sessions(root: Path, on_error: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    """Each folder ``anat`` of images, below a subject or its sessions."""
    subjects = [root] if root.name.startswith("sub-") else sorted(root.glob("sub-*"))
    for subject in filter(Path.is_dir, subjects):
        for folder, inner, files in os.walk(subject, onerror=on_error, followlinks=True):
            path = Path(folder)
            if path.name == "anat":
                inner.clear()
                if any(is_volume(path / file) for file in files):
                    yield path
            else:
                sessions = (name for name in inner if name == "anat" or name.startswith("ses-"))
                inner[:] = sorted(sessions) if path == subject else {"anat"} & set(inner)


def _case(root: Path, anat: Path) -> Found:
    parts = [part for part in anat.parts[-3:-1] if part.startswith(("sub-", "ses-"))]
    volumes = sorted(filter(is_volume, anat.iterdir()))
    images = [(_modality(path), path) for path in volumes if _suffix(path) not in _LABELS]
    dataset = root.parent if root.name.startswith("sub-") else root
    derived = dataset.glob("/".join(("derivatives", "*", *parts, "anat", "*")))
    candidates = [*volumes, *sorted(filter(is_volume, derived))]
    labels = [("label", path) for path in candidates if _suffix(path) in _LABELS]
    found = gathered("_".join(parts), images + (labels if len(labels) == 1 else []))
    return replace(found, subject=parts[0])


def _suffix(path: Path) -> str:
    return stem(path).rpartition("_")[2].lower()


def _modality(path: Path) -> str:
    modality = canonical(_suffix(path))
    contrast = any(part.startswith("ce-") for part in stem(path).split("_"))
    return "t1c" if modality == "t1" and contrast else modality
