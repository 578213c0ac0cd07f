"""Linear interpolation of a volume that comes and goes plane by plane."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

STRAIGHT = 1e-4
"""Axes are parallel if no voxel is farther from its place on them than this, in voxels."""

Plane = NDArray[np.float32]


def resampled(
    planes: Iterable[Plane],
    matrix: NDArray[np.float64],
    source_shape: Sequence[int],
    shape: Sequence[int],
) -> Iterator[Plane]:
    """The planes of a volume on another grid, in order; beyond its edge the edge goes on.

    No more planes are held than one plane of the result is made of.

    Args:
        planes: (C, P', Q'), each once, in order.
        matrix: 4 x 4, from indices of the result to those of the source, axis of the planes first,
            with a positive diagonal.
        source_shape: (N', P', Q').
        shape: of the result, (N, P, Q).
    """
    aside = np.abs(matrix[:3, :3] * (1 - np.eye(3))) @ np.array(shape)
    if aside.max() > STRAIGHT:
        yield from _sheared(planes, matrix, source_shape, shape)
        return
    places, rows, columns = (
        _places(matrix[axis, axis], matrix[axis, 3], source_shape[axis], shape[axis])
        for axis in range(3)
    )
    for plane in _between(planes, places):
        yield _along(_along(plane, rows, axis=1), columns, axis=2)


class _Places(NamedTuple):
    """Where the voxels of an axis lie among those of the source: two neighbours, and a weight."""

    lower: NDArray[np.intp]
    upper: NDArray[np.intp]
    weight: NDArray[np.float32]

    @property
    def unmoved(self) -> bool:
        return not self.weight.any() and np.array_equal(self.lower, np.arange(len(self.lower)))


def _places(scale: float, offset: float, source_size: int, size: int) -> _Places:
    places = np.clip(scale * np.arange(size) + offset, 0, source_size - 1)
    nearest = np.round(places)
    places = np.where(np.abs(places - nearest) < 1e-6, nearest, places)
    lower = np.floor(places).astype(np.intp)
    weight = (places - lower).astype(np.float32)
    return _Places(lower, lower + (weight > 0), weight)


def _between(planes: Iterable[Plane], places: _Places) -> Iterator[Plane]:
    stream = enumerate(planes)
    held: dict[int, Plane] = {}
    index = -1
    for lower, upper, weight in zip(*(values.tolist() for values in places), strict=True):
        held = {number: plane for number, plane in held.items() if number >= lower}
        while index < upper:
            index, plane = next(stream)
            if index >= lower:
                held[index] = plane
        yield held[lower] if weight == 0 else _mixed(held[lower], held[upper], np.float32(weight))


def _along(plane: Plane, places: _Places, axis: int) -> Plane:
    if places.unmoved and len(places.lower) == plane.shape[axis]:
        return plane
    lower, upper = (plane.take(index, axis, mode="clip") for index in places[:2])
    return _mixed(lower, upper, places.weight[:, None] if axis == 1 else places.weight)


def _mixed(lower: Plane, upper: Plane, weight: Any) -> Plane:
    mixed: Plane = upper - lower
    mixed *= weight
    mixed += lower
    return mixed


def _sheared(
    planes: Iterable[Plane],
    matrix: NDArray[np.float64],
    source_shape: Sequence[int],
    shape: Sequence[int],
) -> Iterator[Plane]:
    """As ``resampled`` where a plane of the result lies aslant in the source."""
    from scipy import ndimage  # takes half a second, and few files are sheared

    stream = enumerate(planes)
    held: dict[int, Plane] = {}
    index = -1
    aslant = matrix[0, 1:3] * (np.array(shape[1:]) - 1)
    reach = np.array([aslant[aslant < 0].sum(), aslant[aslant > 0].sum()])
    for number in range(shape[0]):
        ends = np.clip(matrix[0, 0] * number + matrix[0, 3] + reach, 0, source_shape[0] - 1)
        lower, upper = int(np.floor(ends[0])), int(np.ceil(ends[1]))
        held = {place: plane for place, plane in held.items() if place >= lower}
        while index < upper:
            index, plane = next(stream)
            if index >= lower:
                held[index] = plane
        window = np.stack([held[place] for place in range(lower, upper + 1)], axis=1)
        first = matrix[:3, 3] + matrix[:3, 0] * number - (lower, 0, 0)
        yield np.stack(
            [
                ndimage.affine_transform(
                    channel, matrix[:3, :3], first, (1, *shape[1:]), order=1, mode="nearest"
                )[0]
                for channel in window
            ]
        )
