"""What a DICOM slice is, whether slices make up a volume, and where it lies."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError

_TOLERANCE = 0.1
"""A slice may lie off its place by this part of the distance of two; scanners round to 0.1 mm."""

_PIXELS, _END = (0x7FE0, 0x0010), (0xFFFE, 0xE0DD)
"""Tags before the pixels and, if they are compressed, after them."""

_SHORTEST = 256
"""Bytes of a preamble and what must follow it: kinds and numbers of the object and its coding."""

_KIND = b"\2\0\2\0UI"
"""Tag and type of what kind of object a DICOM file holds."""

_SCANS = tuple(b"1.2.840.10008.5.1.4.1.1." + kind for kind in (b"2", b"4", b"128"))
"""Kinds of DICOM objects that are slices of a scan."""

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Slice:
    """Where one file of a series lies.

    Args:
        path: of the file.
        position: of the first pixel's centre, mm in DICOM's LPS.
        orientation: direction cosines along a row, then along a column.
        size: pixels along a row and along a column.
        spacing: mm per pixel along a row and along a column.
        thickness: mm, of use for a single slice.
    """

    path: Path
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    size: tuple[int, ...]
    spacing: tuple[float, ...]
    thickness: float


def is_dicom(path: Path) -> bool:
    """Whether ``path`` is a DICOM file, by the four letters behind its preamble."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def is_stub(path: Path) -> bool:
    """Whether ``path`` is shorter than what a DICOM file begins with, or cannot be read."""
    return path.stat().st_size < _SHORTEST or not os.access(path, os.R_OK)


def is_scan(path: Path) -> bool:
    """Whether a DICOM file says at its start that it is a CT, MR or PET image."""
    with path.open("rb") as file:
        _, found, rest = file.read(1024).partition(_KIND)
    length = int.from_bytes(rest[:2], "little")
    return bool(found) and rest[2 : 2 + length].rstrip(b"\0 ") in _SCANS


def is_whole(path: Path, num_bytes: int) -> bool:
    """Whether a DICOM file holds all its pixels; GDCM fills in what is cut off, and is silent.

    Args:
        path: of the file.
        num_bytes: of its pixels, stored plainly; compressed ones must end as DICOM says.
    """
    content = path.read_bytes()
    for order in ("little", "big"):
        pixels, end = (
            b"".join(number.to_bytes(2, order) for number in tag) for tag in (_PIXELS, _END)
        )
        place = content.find(pixels)
        while place >= 0:
            for start in (place + 8, place + 12):  # the kind of value may stand before the length
                length = int.from_bytes(content[start - 4 : start], order)
                if length in (num_bytes, num_bytes + num_bytes % 2):
                    return start + length <= len(content)
                if length == 2**32 - 1:
                    return content.rstrip(b"\0").endswith(end)
            place = content.find(pixels, place + 1)
    return False


def stacked(slices: Sequence[Slice], name: str) -> tuple[list[Slice], NDArray[np.float64]]:
    """The slices in order of place, and the affine (4 x 4) from voxel indices to mm (RAS).

    Args:
        slices: of one series, in any order.
        name: of the series in a sentence.

    Raises:
        UserError: the slices differ in orientation, size or spacing, share a place, leave a gap, or
            are shifted against each other.
    """
    first = slices[0]
    for attribute in ("orientation", "size", "spacing"):
        if any(
            not np.allclose(getattr(one, attribute), getattr(first, attribute), atol=1e-3)
            for one in slices
        ):
            raise UserError(
                f"{name} has slices of mixed {attribute}: split it into one series each"
            )
    if min(first.spacing) <= 0:
        raise UserError(
            f"{name} does not say how large its pixels are: convert it to NIfTI by another program"
        )
    row, column = np.reshape(first.orientation, (2, 3))
    normal = np.cross(row, column)
    if not np.isclose(np.linalg.norm(normal), 1, atol=1e-3):
        raise UserError(f"{name} has rows and columns that are not square to each other: repair it")
    ordered = sorted(slices, key=lambda one: float(np.dot(one.position, normal)))
    positions = np.array([one.position for one in ordered])
    step = _step(positions, normal, first.thickness, name)
    affine = np.eye(4)
    affine[:3, 0] = row * first.spacing[0]
    affine[:3, 1] = column * first.spacing[1]
    affine[:3, 2] = normal * step
    affine[:3, 3] = positions[0]
    return ordered, _LPS_TO_RAS @ affine


def _step(
    positions: NDArray[np.float64], normal: NDArray[np.float64], thickness: float, name: str
) -> float:
    """The distance of neighbouring slices in mm."""
    if len(positions) == 1:
        if not 0 < thickness < math.inf:
            raise UserError(
                f"{name} is one slice that does not say how thick it is: convert it to NIfTI by "
                "another program"
            )
        return thickness
    steps = np.diff(positions @ normal)
    usual = float(np.median(steps))
    if steps.min() < 1e-3:
        raise UserError(
            f"{name} has several images at one place (after slice {int(steps.argmin()) + 1}): "
            "split it into one series each"
        )
    worst = int(np.abs(steps - usual).argmax())
    if abs(steps[worst] - usual) > _TOLERANCE * usual:
        raise UserError(
            f"{name} has a gap: slices are {usual:.2f} mm apart, but {steps[worst]:.2f} mm after "
            f"slice {worst + 1}: copy the missing slices"
        )
    step = float(steps.mean())
    straight = positions[0] + np.arange(len(positions))[:, None] * step * normal
    if np.linalg.norm(positions - straight, axis=1).max() > max(_TOLERANCE * usual, 0.1):
        raise UserError(
            f"{name} has slices that are shifted against each other (a tilted gantry): "
            "resample it to an upright volume first"
        )
    return step
