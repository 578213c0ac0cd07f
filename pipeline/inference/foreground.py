"""Where the non-zero voxels of an image lie, and their mean and deviation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.data.channels import Channel

ALIKE = 1e-13
"""Voxels whose variance is less, by the square of their mean, differ by rounding alone."""


@dataclass(frozen=True)
class Foreground:
    """What is not zero.

    Args:
        box: first voxel and the one after the last with a non-zero voxel in any channel, by axis;
            empty at 0 if there is none.
        mean: of the non-zero voxels, by channel.
        deviation: likewise (of the population); 1 where all are alike or there is none.
    """

    box: tuple[tuple[int, int], ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def with_margin(self, margin: int, shape: Sequence[int]) -> tuple[tuple[int, int], ...]:
        """The box with ``margin`` voxels around it, up to the edges of ``shape``."""
        if any(stop == 0 for _, stop in self.box):
            return self.box
        return tuple(
            (max(first - margin, 0), min(stop + margin, size))
            for (first, stop), size in zip(self.box, shape, strict=True)
        )


def foreground(channels: Sequence[Channel], slab_bytes: int) -> Foreground:
    """The foreground of all channels, of which ``slab_bytes`` (float32) are read at once.

    Sums are by plane, so that they do not depend on ``slab_bytes``.
    """
    width, height, depth = channels[0].shape
    columns, planes = np.zeros(width * height, bool), np.zeros(depth, bool)
    moments = []
    for channel in channels:
        count, total, squares = 0, 0.0, 0.0
        for first, stop in slabs(depth, width * height, slab_bytes):
            slab = channel.planes(first, stop)
            for z in range(first, stop):
                plane = slab[..., z - first].astype(np.float32, copy=False).ravel(order="F")
                occupied = plane != 0
                found = int(np.count_nonzero(occupied))
                if found == 0:
                    continue
                columns |= occupied
                planes[z] = True
                values = plane.astype(np.float64)
                count += found
                total += float(values.sum())
                squares += float(np.einsum("i,i->", values, values))
        moments.append(_moments(count, total, squares))
    plan = columns.reshape(height, width)
    x, y = (np.logical_or.reduce(plan, axis=axis) for axis in (0, 1))
    box = tuple(_ends(occupied) for occupied in (x, y, planes))
    mean, deviation = zip(*moments, strict=True)
    return Foreground(box, mean, deviation)


def slabs(depth: int, plane_voxels: int, slab_bytes: int) -> Iterator[tuple[int, int]]:
    """First plane and the one after the last of slabs of ``slab_bytes`` (float32), in order."""
    thickness = max(1, slab_bytes // (4 * plane_voxels))
    return pairwise((*range(0, depth, thickness), depth))


def _moments(count: int, total: float, squares: float) -> tuple[float, float]:
    if count == 0:
        return 0.0, 1.0
    mean = total / count
    variance = squares / count - mean**2
    return mean, variance**0.5 if variance > ALIKE * mean**2 else 1.0


def _ends(occupied: NDArray[np.bool_]) -> tuple[int, int]:
    places = np.flatnonzero(occupied)
    return (int(places[0]), int(places[-1]) + 1) if len(places) else (0, 0)
