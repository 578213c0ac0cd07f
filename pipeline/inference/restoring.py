"""From logits on the working grid to probabilities on the planes of the file."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.inference.grid import Grid
from pipeline.inference.resampling import resampled
from pipeline.tasks import Task

NOT_FINITE = (
    "the network gave numbers that are not finite: its weights are damaged or its training "
    "diverged, or half precision does not suit it: try another device"
)


def activated(logits: NDArray[np.floating[Any]], task: Task) -> NDArray[np.float32]:
    """Probabilities of logits (n, out_channels, *S): sigmoid of regions, softmax of classes.

    Raises:
        UserError: a logit is not finite, so that nothing is known of its voxel.
    """
    if not np.isfinite(logits).all():
        raise UserError(NOT_FINITE)
    if task.regions:
        probabilities: NDArray[np.float32] = np.negative(logits, dtype=np.float32)
        with np.errstate(over="ignore"):
            np.exp(probabilities, out=probabilities)
        probabilities += 1
        return np.reciprocal(probabilities, out=probabilities)
    probabilities = np.subtract(logits, logits.max(axis=1, keepdims=True), dtype=np.float32)
    np.exp(probabilities, out=probabilities)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return probabilities


def native_planes(
    grid: Grid, finished: Iterable[tuple[int, NDArray[np.float32]]]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Probabilities on the planes of the file that the crop reaches, each once.

    They come ascending, or descending where the file's last axis is flipped. Only the planes that
    the next one is made of are held.

    Args:
        grid: where the working planes lie.
        finished: the first plane, and probabilities (n, K, P, Q) of it and the next, all in order.

    Returns:
        Pairs of z and a whole plane (K, X, Y) of the file, zero outside of the crop.
    """
    if 0 in grid.shape:
        return
    order = list(grid.order)
    matrix = np.asarray(np.linalg.inv(grid.to_crop), np.float64)[np.ix_([*order, 3], [*order, 3])]
    working, crop = ([shape[axis] for axis in order] for shape in (grid.shape, grid.crop_shape))
    x, y = (slice(*ends) for ends in grid.box[:2])
    for place, plane in enumerate(resampled(_singly(finished), matrix, working, crop)):
        whole = np.zeros((len(plane), *grid.native_shape[:2]), np.float32)
        whole[:, x, y] = grid.turned_back(plane)
        yield grid.native_z(place), whole


def _singly(finished: Iterable[tuple[int, NDArray[np.float32]]]) -> Iterator[NDArray[np.float32]]:
    """The planes of ``finished``; none keeps its block in memory when the next one is made."""
    for _, block in finished:
        last = block[-1].copy()
        yield from block[:-1]
        del block
        yield last
