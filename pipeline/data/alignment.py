"""Bring the modalities of a case onto the grid of the first, in one interpolation each."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from pipeline import grids
from pipeline.data.admission import LoadedCase
from pipeline.data.cases import Align
from pipeline.data.volumes import Volume
from pipeline.errors import UserError, nearest
from pipeline.files import write_json
from pipeline.tasks import Task

How = Literal["grid", "rigid"]
"""Resampled where it lies in millimetres, or registered first."""


@dataclass(frozen=True)
class Motion:
    """How a modality was moved onto the first one.

    Args:
        matrix: (4, 4), from a place in the first modality to the same anatomy in the file, mm RAS.
        similarity_before: mutual information of the two where they lay; None if not registered.
        similarity_after: the same once moved.
    """

    matrix: NDArray[np.float64]
    similarity_before: float | None = None
    similarity_after: float | None = None

    def shift(self, reference: Volume) -> float:
        """The largest distance in mm that a corner of ``reference`` is moved."""
        corners = grids.corners(reference.array.shape, reference.affine)
        moved = corners @ self.matrix[:3, :3].T + self.matrix[:3, 3]
        return float(np.linalg.norm(moved - corners, axis=1).max())

    def to_json(self) -> dict[str, Any]:
        """The transform as numbers a person can read, in degrees and mm, and the similarities."""
        rotation = Rotation.from_matrix(self.matrix[:3, :3]).as_euler("xyz", degrees=True)
        return {
            "matrix": self.matrix.tolist(),
            "rotation_degrees": rotation.tolist(),
            "translation_mm": self.matrix[:3, 3].tolist(),
            "similarity_before": self.similarity_before,
            "similarity_after": self.similarity_after,
        }


def aligned(case: LoadedCase, align: Align | None, task: Task) -> LoadedCase:
    """``case`` with its images on the grid of the first; as it is if ``align`` is None.

    Args:
        case: whose images may be on different grids.
        align: how, and where the report ``<case>.json`` goes, which names no path.
        task: names the images.

    Raises:
        UserError: an image cannot be registered, or the report cannot be written.
    """
    if align is None:
        return case
    volumes = {
        name: Volume(image.array, image.volume.header)
        for name, image in zip(task.modalities, case.images, strict=True)
    }
    how = as_how(align.how)
    try:
        on_one_grid, done = bring_together(volumes, how)
    except UserError as error:
        raise UserError(f"{error} (case {case.name})") from error
    if align.report is not None:
        report = {"reference": task.modalities[0], "how": how, "moved": done}
        write_json(align.report / f"{case.name}.json", report)
    images = tuple(
        replace(image, volume=volume, channel=None)
        for image, volume in zip(case.images, on_one_grid.values(), strict=True)
    )
    return replace(case, images=images)


def as_how(name: str) -> How:
    """``name`` as a way to align.

    Raises:
        UserError: it is none.
    """
    for how in get_args(How):
        if name == how:
            return how
    raise UserError(f"unknown way to align {name!r}: {nearest(name, get_args(How))}")


def bring_together(
    volumes: Mapping[str, Volume], how: How
) -> tuple[dict[str, Volume], dict[str, dict[str, Any]]]:
    """``volumes`` on the grid of the first, and what was done to each other.

    A voxel covers half of the way to where the next one would be; places that no voxel of a file
    covers become zero. A volume on the grid of the first already is left alone, unless it is
    registered.

    Args:
        volumes: (H, W, D) by name.
        how: see ``How``.

    Returns:
        The volumes, and by name ``Motion.to_json`` with ``largest_shift_mm`` and ``resampled``.

    Raises:
        UserError: a volume cannot be registered, or all of it lies elsewhere.
    """
    first, *others = volumes
    reference = volumes[first]
    together, done = {first: reference}, {}
    for name in others:
        moving = volumes[name]
        motion = _motion(reference, moving, how, name)
        same = grids.same_grid(
            reference.array.shape, reference.affine, moving.array.shape, moving.affine
        )
        stays = same and np.array_equal(motion.matrix, np.eye(4))
        together[name] = moving if stays else resampled(moving, reference, motion.matrix)
        if moving.array.any() and not together[name].array.any():
            remedy = "correct the place in its header" if how == "grid" else "register it yourself"
            raise UserError(f"{name} has nothing where {first} lies: {remedy}")
        done[name] = motion.to_json() | {
            "largest_shift_mm": motion.shift(reference),
            "resampled": not stays,
        }
    return together, done


def resampled(moving: Volume, reference: Volume, matrix: NDArray[np.float64]) -> Volume:
    """``moving`` on the grid of ``reference``, linearly interpolated, float32, zero outside.

    Beyond the centres of the outermost voxels, up to half a voxel, their values go on.

    Args:
        moving: (H, W, D).
        reference: whose grid is taken.
        matrix: (4, 4), from a place in ``reference`` to the one in ``moving``, mm RAS.
    """
    array = moving.array.astype(np.float32)
    shape = reference.array.shape[:3]
    indices = np.linalg.inv(moving.affine) @ matrix @ reference.affine
    moved = ndimage.affine_transform(
        array, indices[:3, :3], indices[:3, 3], shape, order=1, mode="nearest"
    )
    moved[~grids.covered(shape, indices, array.shape)] = 0
    return Volume(moved, reference.header)


def _motion(reference: Volume, moving: Volume, how: How, name: str) -> Motion:
    if how == "grid":
        return Motion(np.eye(4))
    from pipeline.data.registration import register

    return Motion(*register(reference, moving, name))
