"""What the header of a DICOM file says of its slice."""

from pathlib import Path
from typing import Any

from pipeline.data.slices import Slice
from pipeline.errors import UserError

TAGS = {
    "patient": "0010|0020",
    "study": "0020|000d",
    "series": "0020|000e",
    "number": "0020|0011",
    "description": "0008|103e",
    "protocol": "0018|1030",
    "kind": "0008|0060",
    "agent": "0018|0010",
    "frames": "0028|0008",
    "samples": "0028|0002",
    "bits": "0028|0100",
    "thickness": "0018|0050",
    "position": "0020|0032",
    "orientation": "0020|0037",
    "pixel": "0028|0030",
}
"""Tags that decide a series, by what they are called here."""

_NOWHERE, _UPRIGHT = "0\\0\\0", "1\\0\\0\\0\\1\\0"


class NoSliceError(Exception):
    """A DICOM file that holds no image with a place in space."""


def read_slice(file: Path) -> tuple[dict[str, str], Slice]:
    """The texts of ``TAGS`` in ``file``, empty where absent, and its slice.

    Of several frames, which have places of their own, the slice lies anywhere.

    Raises:
        NoSliceError: it holds none.
        UserError: SimpleITK is not installed.
    """
    reader = _reader()
    reader.SetFileName(str(file))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise NoSliceError from error
    tags = {name: _text(reader, tag) for name, tag in TAGS.items()}
    if tags["kind"] in ("CT", "MR", "PT") and tags["frames"] not in ("", "1"):
        tags |= {"position": _NOWHERE, "orientation": _UPRIGHT}
    try:
        position = tuple(map(float, tags["position"].split("\\")))
        orientation = tuple(map(float, tags["orientation"].split("\\")))
        thickness = float(tags["thickness"] or 0)
    except ValueError as error:
        raise NoSliceError from error
    if len(position) != 3 or len(orientation) != 6:
        raise NoSliceError
    size, spacing = reader.GetSize()[:2], reader.GetSpacing()[:2]
    if not tags["pixel"]:
        spacing = (0.0, 0.0)  # for which GDCM has 1 mm
    return tags, Slice(file, position, orientation, size, spacing, thickness)


def _reader() -> Any:
    try:
        import SimpleITK as sitk
    except ImportError as error:
        raise UserError("DICOM needs SimpleITK: pip install SimpleITK") from error
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    return reader


def _text(reader: Any, tag: str) -> str:
    """The text of a tag; bytes that are no UTF-8 become question marks."""
    text = reader.GetMetaData(tag) if reader.HasMetaDataKey(tag) else ""
    return text.encode("utf-8", "replace").decode("utf-8").strip(" \0")
