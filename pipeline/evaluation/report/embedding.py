"""Volumes as scripts that a page can load from disk: gzipped NIfTI of one byte a voxel, base64."""

import base64
import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from pipeline.data.pixels import is_image
from pipeline.data.volumes import Volume
from pipeline.pictures.scenes import filled_box, intensity_window

MOST_VOXELS = 2**24
"""Above it a volume is shown at every second (third, ...) voxel along each axis: 256^3."""

MARGIN = 4
"""Voxels around what is not background that are kept."""

Box = tuple[slice, ...]


@dataclass(frozen=True)
class Placed:
    """Voxels (H, W, D), with axes towards right, anterior and superior, and their affine."""

    array: NDArray[Any]
    affine: NDArray[np.float64]

    @classmethod
    def of(cls, path: Path, volume: Volume, channel: int | None = None) -> "Placed":
        """The volume of a file, or one channel of it, with its axes swapped and flipped.

        A 2D image lies so that its rows are seen downwards and its columns towards the right.
        """
        shape = volume.array.shape
        array = volume.array.reshape(*shape[:3], -1)[..., channel or 0]
        if is_image(path):
            return cls(array[::-1, ::-1].transpose(1, 0, 2), np.eye(4))
        axes = nib.orientations.io_orientation(volume.affine)
        moved = nib.orientations.apply_orientation(array, axes)
        affine = volume.affine @ nib.orientations.inv_ornt_aff(axes, array.shape)
        return cls(moved, affine)

    def part(self, box: Box, stride: int) -> "Placed":
        """Every ``stride``-th voxel of ``box``."""
        steps = tuple(slice(axis.start, axis.stop, stride) for axis in box)
        affine = self.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ [axis.start for axis in box]
        affine[:3, :3] *= stride
        return Placed(self.array[steps], affine)

    def mm(self, index: Sequence[float]) -> list[float]:
        """Where a voxel is, in mm."""
        point = self.affine[:3, :3] @ np.asarray(index) + self.affine[:3, 3]
        return [round(float(x), 2) for x in point]


def common_box(volumes: Iterable[Placed]) -> Box:
    """The box of all that is not 0 in volumes of one grid, with a margin; all if that is nothing.

    A 0 stands for background, so a volume without such voxels is shown whole.
    """
    return filled_box((volume.array for volume in volumes), MARGIN)


def stride_for(box: Box) -> int:
    """The smallest step along each axis that keeps ``box`` below ``MOST_VOXELS``."""
    count = float(np.prod([axis.stop - axis.start for axis in box]))
    return ceil(max(count / MOST_VOXELS, 1.0) ** (1 / 3) - 1e-9)


def write_image(path: Path, key: str, image: Placed) -> None:
    """Embed an image at 256 levels of its intensity window; values stay in the file's units."""
    low, high = intensity_window(image.array)
    array = np.nan_to_num(image.array.astype(np.float32), posinf=high, neginf=low)
    slope = (high - low) / 255 or 1.0
    levels = np.clip((array - low) / slope, 0, 255).round().astype(np.uint8)
    _write(path, key, _nifti(levels, image.affine, slope, low))


def write_label_map(path: Path, key: str, labels: Placed) -> None:
    """Embed a label map of at most 255 labels."""
    _write(path, key, _nifti(labels.array.astype(np.uint8), labels.affine, 1.0, 0.0))


def _nifti(
    array: NDArray[np.uint8], affine: NDArray[np.float64], slope: float, intercept: float
) -> bytes:
    header_class: Any = nib.Nifti1Header
    header = header_class()
    header.set_data_dtype(np.uint8)
    header.set_data_shape(array.shape)
    header.set_sform(affine, code="scanner")
    header.set_xyzt_units("mm")
    header["pixdim"][1:4] = np.linalg.norm(affine[:3, :3], axis=0)
    header["scl_slope"], header["scl_inter"] = slope, intercept
    header["cal_min"], header["cal_max"] = intercept, intercept + 255 * slope
    header["vox_offset"] = 352
    return bytes(header.binaryblock) + b"\0" * 4 + array.tobytes(order="F")


def _write(path: Path, key: str, content: bytes) -> None:
    text = base64.b64encode(gzip.compress(content, compresslevel=6, mtime=0)).decode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"unetBundlesVolume({json.dumps(key)}, {json.dumps(text)});\n")
