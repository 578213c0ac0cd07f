"""What can be said of one volume: of where its voxels are, and of their values."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from pipeline import grids
from pipeline.data.channels import Facts
from pipeline.data.findings import Finding, shown

SPACING_MM = (0.05, 20.0)
"""Outside of this a voxel is unusual."""

SMALLEST_SPACING_MM = 1e-3
LARGEST_EXTENT_MM = 1e4
"""No scanner sees more finely, or is longer: the units of the header are wrong."""

XFORM_TOLERANCE_MM = 0.1
"""Sform and qform agree if no corner moves farther; a qform is float32 and has that error."""


class Placed(Protocol):
    """A volume, whether its voxels are in memory or not."""

    @property
    def header(self) -> Any:
        """Of the file, as nibabel holds it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W, D), or (H, W, D, C) of a file with several channels."""

    @property
    def affine(self) -> NDArray[np.float64]:
        """From voxel indices to millimetres (RAS), 4 x 4."""

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres per voxel along each axis."""


def check_grid(path: Path, volume: Placed) -> Iterator[Finding]:
    """Findings about where the voxels of a NIfTI file are."""
    yield from _spacing(path, volume)
    header = volume.header
    unit = {1: "metres", 3: "micrometres"}.get(int(header["xyzt_units"]) % 8)  # nifti1.h
    if unit is not None:
        yield Finding(
            "units",
            path,
            f"{shown(path)} says that its grid is in {unit}, and it is taken as mm: "
            "write it in mm if its spacing is not",
        )
    if not header["qform_code"] and not header["sform_code"]:
        yield Finding(
            "no-orientation",
            path,
            f"{shown(path)} has neither qform nor sform, so left and right are a guess: "
            "convert it again from DICOM",
        )
    if header["qform_code"] and header["sform_code"]:
        yield from _sform_against_qform(path, volume)


def check_values(path: Path, facts: Facts) -> Iterator[Finding]:
    """Findings about the values of an image in a file."""
    if facts.num_wrong:
        yield Finding(
            "not-finite",
            path,
            f"{shown(path)} holds voxels that are not finite ({facts.num_wrong} NaN or infinite): "
            "repair the file",
        )
    if facts.constant:
        yield Finding(
            "constant-image",
            path,
            f"{shown(path)} has the value {facts.first:g} in every voxel: "
            "copy it again from its source if that is not meant",
        )


def _spacing(path: Path, volume: Placed) -> Iterator[Finding]:
    spacing = volume.spacing
    said = " x ".join(f"{size:g}" for size in spacing)
    sizes = zip(volume.shape[:3], spacing, strict=True)
    extent = max(count * size for count, size in sizes)
    if min(spacing) < SMALLEST_SPACING_MM or extent > LARGEST_EXTENT_MM:
        yield Finding(
            "spacing",
            path,
            f"{shown(path)} has voxels of {said} mm and is {extent:g} mm long, which no scanner "
            "makes: repair the spacing in its header",
        )
    elif min(spacing) < SPACING_MM[0] or max(spacing) > SPACING_MM[1]:
        yield Finding(
            "unusual-spacing",
            path,
            f"{shown(path)} has voxels of {said} mm: check the spacing in its header",
        )


def _sform_against_qform(path: Path, volume: Placed) -> Iterator[Finding]:
    header, shape = volume.header, volume.shape
    sform = np.asarray(header.get_sform(), np.float64)
    try:
        with np.errstate(all="ignore"):
            qform = np.asarray(header.get_qform(), np.float64)
            distance = grids.corners(shape, sform) - grids.corners(shape, qform)
            apart = float(np.linalg.norm(distance, axis=1).max())
            mirrored = bool(np.linalg.det(sform[:3, :3]) * np.linalg.det(qform[:3, :3]) < 0)
    except (HeaderDataError, ValueError, ArithmeticError):
        apart, mirrored = np.inf, False
    same_code = header["qform_code"] == header["sform_code"]
    agree = apart <= XFORM_TOLERANCE_MM or (not same_code and np.isfinite(apart))
    if mirrored or not agree:
        how = "mirrors the image" if mirrored else f"places it {apart:.1f} mm away"
        how = how if np.isfinite(apart) else "is no rotation"
        yield Finding(
            "sform-qform",
            path,
            f"{shown(path)} has a qform that {how} as seen from its sform, which is used: "
            "keep the one that is right",
        )
