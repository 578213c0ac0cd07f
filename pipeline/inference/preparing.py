"""From the channels of a file to a normalised image on the working grid, plane by plane.

What MONAI's transforms of ``pipeline.transforms.preprocessing`` do with a volume in memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.channels import Channel
from pipeline.inference.foreground import Foreground, foreground, slabs
from pipeline.inference.grid import Grid, working_grid
from pipeline.inference.plan import BLOCK
from pipeline.inference.planes import Planes
from pipeline.inference.resampling import resampled
from pipeline.recipe import Recipe

SLAB_BYTES = 32 * 2**20
"""What is read of a file at once, as float32."""


@dataclass(frozen=True)
class Prepared:
    """An image as the network sees it.

    Args:
        image: (N, C, P, Q) float32: slab axis, channels, the other two working axes in order.
        grid: where it lies.
        occupied: whether a block of ``BLOCK`` ** 3 voxels has one that is not zero in some channel,
            by block, in the order of the working axes.
    """

    image: Planes
    grid: Grid
    occupied: NDArray[np.bool_]


def prepare(
    channels: Sequence[Channel],
    affine: NDArray[np.floating[Any]],
    recipe: Recipe,
    path: Path,
    slab_bytes: int = SLAB_BYTES,
) -> Prepared:
    """The image of ``channels`` on the working grid of ``recipe``, in a file at ``path``.

    Args:
        channels: of one shape, on one grid.
        affine: of that grid, 4 x 4.
        recipe: what is done.
        path: the file that is written.
        slab_bytes: what is read at once, as float32; the result does not depend on it.
    """
    shape = channels[0].shape
    found = None
    if recipe.foreground_margin is not None or recipe.intensity is not None:
        found = foreground(channels, slab_bytes)
    box: tuple[tuple[int, int], ...] = tuple((0, size) for size in shape)
    if found is not None and recipe.foreground_margin is not None:
        box = found.with_margin(recipe.foreground_margin, shape)
    grid = working_grid(affine, shape, box, recipe)
    order = list(grid.order)
    size = [grid.shape[axis] for axis in order]
    image = Planes(path, (size[0], len(channels), *size[1:]))
    occupied = np.zeros([-(-length // BLOCK) for length in size], bool)
    planes = _turned(channels, grid, found if recipe.intensity else None, slab_bytes)
    matrix = grid.to_crop[np.ix_([*order, 3], [*order, 3])]
    crop = [grid.crop_shape[axis] for axis in order]
    for number, plane in enumerate(resampled(planes, matrix, crop, size)):
        image.write(number, plane[None])
        occupied[number // BLOCK] |= _occupied(plane)
    return Prepared(image, grid, np.ascontiguousarray(occupied.transpose(np.argsort(order))))


def _turned(
    channels: Sequence[Channel], grid: Grid, found: Foreground | None, slab_bytes: int
) -> Iterator[NDArray[np.float32]]:
    """The planes (C, P', Q') of the turned crop, in order."""
    width, height, _ = grid.native_shape
    x, y = (slice(*ends) for ends in grid.box[:2])
    crop = [grid.crop_shape[axis] for axis in grid.order]
    for first, stop in slabs(crop[0], width * height * len(channels), slab_bytes):
        ends = sorted((grid.native_z(first), grid.native_z(stop - 1)))
        read = [channel.planes(ends[0], ends[1] + 1) for channel in channels]
        for place in range(first, stop):
            plane = np.empty((len(channels), *crop[1:]), np.float32)
            for number, slab in enumerate(read):
                values = slab[x, y, grid.native_z(place) - ends[0]]
                if found is not None:
                    values = _scores(values, found.mean[number], found.deviation[number])
                plane[number] = grid.turned(values)
            yield plane


def _scores(values: NDArray[Any], mean: float, deviation: float) -> NDArray[np.float32]:
    """How many deviations from the mean each voxel is; zero stays zero."""
    values = values.astype(np.float32, copy=False)
    scores: NDArray[np.float32] = values - np.float32(mean)
    scores /= np.float32(deviation)
    np.copyto(scores, 0, where=values == 0)
    return scores


def _occupied(plane: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether a block (P / BLOCK, Q / BLOCK) of a plane (C, P, Q) has a voxel that is not zero."""
    rows, columns = (-(-size // BLOCK) for size in plane.shape[1:])
    voxels = np.zeros((rows * BLOCK, columns * BLOCK), bool)
    inside = voxels[: plane.shape[1], : plane.shape[2]]
    for channel in plane:
        inside |= channel != 0
    lines = np.logical_or.reduce(voxels.reshape(rows, BLOCK, -1), axis=1)
    blocks: NDArray[np.bool_] = np.logical_or.reduce(lines.reshape(rows, columns, BLOCK), axis=2)
    return blocks
