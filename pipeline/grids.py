"""Voxel grids: a shape, and the affine (4 x 4) from voxel indices to millimetres (RAS)."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

TOLERANCE_MM = 1e-3
"""Two grids are the same if no corner of one is farther than this from that of the other."""


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
