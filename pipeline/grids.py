"""Voxel grids: a shape, and the affine (4 x 4) from voxel indices to millimetres (RAS)."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

TOLERANCE_MM = 1e-3
"""Two grids are the same if no corner of one is farther than this from that of the other."""

_ROUNDING = 1e-3
"""Voxels by which a place may lie beyond the border of an array and be covered by it."""


def spacing(affine: NDArray[np.floating]) -> tuple[float, float, float]:
    """Millimetres per voxel along each axis of the array.

    Examples:
        >>> spacing(np.diag([1.0, 2.0, 3.0, 1.0]))
        (1.0, 2.0, 3.0)
    """
    x, y, z = np.linalg.norm(affine[:3, :3], axis=0)
    return float(x), float(y), float(z)


def corners(shape: Sequence[int], affine: NDArray[np.floating]) -> NDArray[np.float64]:
    """Centres of the eight corner voxels in mm, shape (8, 3)."""
    indices = np.array(list(product(*((0, size - 1) for size in shape[:3]))), dtype=np.float64)
    return indices @ affine[:3, :3].T + affine[:3, 3]


def covered(
    shape: Sequence[int], indices: NDArray[np.floating], covering: Sequence[int]
) -> NDArray[np.bool_]:
    """Which voxels of a grid of ``shape`` lie in a voxel of an array of the shape ``covering``.

    Args:
        shape: (H, W, D).
        indices: (4, 4), from voxel indices of the grid to those of the array.
        covering: (H, W, D).
    """
    axes = np.ogrid[tuple(slice(size) for size in shape)]
    inside = np.ones(tuple(shape), bool)
    for row, size in zip(indices[:3], covering, strict=True):
        place = sum((step * axis for step, axis in zip(row, axes, strict=False)), start=row[3])
        inside &= (place >= -0.5 - _ROUNDING) & (place <= size - 0.5 + _ROUNDING)
    return inside


def same_grid(
    shape: Sequence[int],
    affine: NDArray[np.floating],
    other_shape: Sequence[int],
    other_affine: NDArray[np.floating],
) -> bool:
    """Whether two grids have one shape and corners within ``TOLERANCE_MM``."""
    if tuple(shape[:3]) != tuple(other_shape[:3]):
        return False
    offsets = corners(shape, affine) - corners(other_shape, other_affine)
    distance = np.linalg.norm(offsets, axis=1)
    return bool(distance.max() <= TOLERANCE_MM)
