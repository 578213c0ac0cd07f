"""Exact distances between the surfaces of two regions, in mm.

A surface is taken in two ways, and each metric in the way of those who defined it: as the voxels on
the rim of a region (MONAI), or as the surface elements of marching cubes, which lie on the corners
of voxels and have an area (Nikolov et al., 2018, arXiv:1809.04430, and its code surface-distance).
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

Mask = NDArray[np.bool_]
Distances = NDArray[np.float64]


class RimDistances(NamedTuple):
    """From each surface voxel to the nearest surface voxel of the other region, in mm."""

    there: Distances
    back: Distances

    @property
    def hd_mm(self) -> float:
        """The Hausdorff distance."""
        return float(max(self.there.max(), self.back.max()))

    @property
    def hd95_mm(self) -> float:
        """The larger of the two directed 95th percentiles."""
        return float(max(np.percentile(self.there, 95), np.percentile(self.back, 95)))

    @property
    def assd_mm(self) -> float:
        """The mean over the surface voxels of both."""
        return float(np.concatenate(self).mean())


class Surfels(NamedTuple):
    """The surface elements of one region.

    Args:
        distances: to the nearest element of the other region, in mm.
        areas: in mm²; of a two-dimensional region, lengths in mm.
    """

    distances: Distances
    areas: Distances

    def area_within(self, tolerance_mm: float) -> float:
        """The area that is no farther than ``tolerance_mm`` from the other region."""
        return float(self.areas[self.distances <= tolerance_mm].sum())

    def percentile(self, fraction: float) -> float:
        """The distance below which ``fraction`` of the area lies."""
        order = np.argsort(self.distances)
        shares = np.cumsum(self.areas[order]) / self.areas.sum()
        index = min(int(np.searchsorted(shares, fraction)), len(order) - 1)
        return float(self.distances[order[index]])


def crop(predicted: Mask, true: Mask) -> tuple[Mask, Mask]:
    """Two regions, of which one at least is not empty, in the box that holds both."""
    box = ndimage.find_objects((predicted | true).view(np.uint8))[0]
    return predicted[box], true[box]


def rim_distances(predicted: Mask, true: Mask, spacing: Sequence[float]) -> RimDistances:
    """Distances between the surface voxels of two regions that are not empty.

    Shape:
        predicted (*S), true (*S), spacing (len(S),)
    """
    predicted, true = _rim(predicted), _rim(true)
    return RimDistances(_nearest(predicted, true, spacing), _nearest(true, predicted, spacing))


def surfels(predicted: Mask, true: Mask, spacing: Sequence[float]) -> tuple[Surfels, Surfels]:
    """The surface elements of two regions that are not empty, in two or three dimensions.

    Shape:
        predicted (*S), true (*S), spacing (len(S),)
    """
    codes = _corner_codes(predicted), _corner_codes(true)
    full = 2 ** (2**predicted.ndim) - 1
    borders = [(code > 0) & (code < full) for code in codes]
    areas = _areas(tuple(map(float, spacing)))
    first, second = (
        Surfels(_nearest(here, other, spacing), areas[code[here]])
        for here, other, code in zip(borders, borders[::-1], codes, strict=True)
    )
    return first, second


def _rim(mask: Mask) -> Mask:
    """Voxels with a face neighbour outside the region; outside the array is outside the region."""
    padded = np.pad(mask, 1)
    inner = mask.copy()
    for axis in range(mask.ndim):
        for start in (0, 2):
            neighbour = [slice(1, -1)] * mask.ndim
            neighbour[axis] = slice(start, start + mask.shape[axis])
            inner &= padded[tuple(neighbour)]
    return mask & ~inner


def _nearest(here: Mask, other: Mask, spacing: Sequence[float]) -> Distances:
    """From each true voxel of ``here``, in the order of C, to the nearest one of ``other``.

    Distances come from differences of indices, so that they do not depend on where a region lies.
    """
    apart = ~other[here]
    distances = np.zeros(apart.size)
    if apart.any():
        millimetres = np.asarray(spacing, dtype=np.float64)
        points, targets = _indices(here & ~other), _indices(other)
        tree = cKDTree(targets * millimetres, balanced_tree=False, compact_nodes=False)
        offsets = points - targets[tree.query(points * millimetres)[1]]
        distances[apart] = np.linalg.norm(offsets * millimetres, axis=1)
    return distances


def _indices(mask: Mask) -> NDArray[np.intp]:
    """Those of the true voxels, shape (N, dimensions); ``argwhere``, but faster."""
    return np.stack(np.unravel_index(np.flatnonzero(mask), mask.shape), axis=1)


def _corner_codes(mask: Mask) -> NDArray[np.uint8]:
    """Which of the voxels around each corner are in the region, a bit a voxel.

    The first voxel has the highest bit, as in the tables of surface-distance.

    Shape:
        mask (*S) -> (*S + 1)
    """
    padded = np.pad(mask, 1).view(np.uint8)
    codes = np.zeros([size + 1 for size in mask.shape], dtype=np.uint8)
    for offset in product((0, 1), repeat=mask.ndim):
        codes <<= 1
        codes |= padded[
            tuple(slice(o, o + size) for o, size in zip(offset, codes.shape, strict=True))
        ]
    return codes


@lru_cache(maxsize=8)
def _areas(spacing: tuple[float, ...]) -> NDArray[Any]:
    """Area of the surface in each of the neighbourhoods that a code names."""
    from surface_distance import lookup_tables

    if len(spacing) == 2:
        return lookup_tables.create_table_neighbour_code_to_contour_length(spacing)
    return lookup_tables.create_table_neighbour_code_to_surface_area(spacing)
