"""Logits of a whole volume from windows, finished plane by plane."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError
from pipeline.inference.plan import Extent, Region, WindowPlan
from pipeline.inference.planes import Planes
from pipeline.progress import console

Floats = NDArray[np.float32]
Flip = tuple[int, ...]

ABSENT = (-30.0, -60.0)
"""Logits of the first and of every other channel where no window is.

Each region is absent by its sigmoid, and by the softmax all is background.
"""

_PLANES = 16  # that are read, turned and given at once: they share the cache lines of a window
_BLOCK = 2**27  # bytes that they take, at most

_CACHED = 2**16  # numbers that are weighted at once: they stay in the cache of a core


class OutOfMemory(UserError):  # noqa: N818 - named as MemoryError is
    """The network's windows did not fit into the memory of its device."""


def blended(
    image: Planes,
    plan: WindowPlan,
    slab_axis: int,
    network: Callable[[Floats], Floats],
    out_channels: int,
    batch_size: int,
    mirror: Sequence[int] = (),
) -> Iterator[tuple[int, Floats]]:
    """Logits of the planes of ``image``, in ascending order, a few planes at once.

    Windows come in the order of their start along the slab axis; what no later window reaches is
    finished, given and freed. Sums are of float32, in an order that neither batch nor memory
    changes. Where no window is, logits are ``ABSENT``.

    Args:
        image: planes along the slab axis, of the other two axes in order.
        plan: of the windows, over axes in the order of the network's.
        slab_axis: of the plan, along which the planes of ``image`` follow each other.
        network: from windows (B, C, *S) to logits (B, K, *S), with ``plan.spatial_dims`` axes.
        out_channels: K, channels of the logits.
        batch_size: windows in one call of the network.
        mirror: axes over whose mirror images, alone and together, logits are averaged.

    Shape:
        image (N, C, P, Q) -> first plane, logits (n, K, P, Q)

    Raises:
        OutOfMemory: the network cannot even run one window at a time.
    """
    starts = sorted(plan.starts, key=lambda start: start[slab_axis])
    flips = plan.flips(mirror)
    windows = _Windows(image, plan, slab_axis)
    asked = [(start, flip) for start in starts for flip in flips]
    answers = _called(network, windows.stacked, asked, batch_size)
    logits = _turned_back(answers, flips)
    if plan.alone:
        _, inside = plan.places(starts[0])
        yield from _planes(next(logits)[:, *inside], slab_axis)
        return
    ring = _Ring(plan, slab_axis, out_channels)
    for start in starts:
        yield from ring.finished(start[slab_axis])
        ring.add(start, next(logits))  # has no name, so that it is gone when the next is computed
    yield from ring.finished(plan.shape[slab_axis])


def ring_bytes(plan: WindowPlan, slab_axis: int, in_channels: int, out_channels: int) -> int:
    """Bytes that ``blended`` holds at most, besides a batch of windows and twice its logits."""
    depth = min(plan.size[slab_axis], plan.shape[slab_axis])
    plane = math.prod(size for axis, size in enumerate(plan.shape) if axis != slab_axis)
    turned = _at_once(plane, out_channels + 1) * (2 * out_channels + 2)
    few = plane * max(_at_once(plane, in_channels) * in_channels, turned)
    if plan.alone:
        return 4 * few
    slab = depth * plane * in_channels if _share_slabs(plan, slab_axis) else 0
    sums = depth * plane * (out_channels + 1)
    weights = math.prod(plan.size) + max(_CACHED, out_channels * math.prod(plan.size[1:]))
    return 4 * (few + slab + sums + weights)


def _at_once(plane: int, channels: int) -> int:
    """How many planes of so many voxels and channels are turned at once."""
    return max(1, min(_PLANES, _BLOCK // max(1, 4 * plane * channels)))


def _share_slabs(plan: WindowPlan, slab_axis: int) -> bool:
    """Whether some windows lie in the same planes, which are then read once."""
    return len({start[slab_axis] for start in plan.starts}) < len(plan.starts)


class _Windows:
    """Windows of an image that is a file of planes."""

    def __init__(self, image: Planes, plan: WindowPlan, slab_axis: int) -> None:
        self.image = image
        self.plan = plan
        self.axis = slab_axis
        self.held: tuple[slice, Floats] | None = None
        self.holds = _share_slabs(plan, slab_axis)

    def stacked(self, asked: Sequence[tuple[Extent, Flip]]) -> Floats:
        """The windows (B, C, *S) at the starts and in the mirror images that are asked for."""
        size = self.plan.size
        images = np.zeros((len(asked), self.image.shape[1], *size), np.float32)
        for image, (start, flip) in zip(images, asked, strict=True):
            self._cut(start, np.flip(image, tuple(1 + axis for axis in flip)))
        return images.reshape(*images.shape[: 2 + self.plan.spatial_dims])

    def _cut(self, start: Extent, window: Floats) -> None:
        """Fill ``window`` (C, a, b, c), of zeros, with the image."""
        there, inside = self.plan.places(start)
        target = np.moveaxis(window[:, *inside], 1 + self.axis, 0)
        across = [part for axis, part in enumerate(there) if axis != self.axis]
        for at, planes in self._read(there[self.axis]):
            target[at : at + len(planes)] = planes[:, :, *across]

    def _read(self, span: slice) -> Iterator[tuple[int, Floats]]:
        """The planes of ``span``, a few at once, each after its distance from the first."""
        if self.holds and (self.held is None or self.held[0] != span):
            self.held = None  # one slab at a time
            self.held = span, self.image.read(span.start, span.stop)
        _, channels, *plane = self.image.shape
        count = _at_once(math.prod(plane), channels)
        for first in range(span.start, span.stop, count):
            at, stop = first - span.start, min(first + count, span.stop)
            if self.held is None:
                yield at, self.image.read(first, stop)
            else:
                yield at, self.held[1][at : stop - span.start]


def _called(
    network: Callable[[Floats], Floats],
    stacked: Callable[[Sequence[tuple[Extent, Flip]]], Floats],
    asked: Sequence[tuple[Extent, Flip]],
    batch_size: int,
) -> Iterator[Floats]:
    """The network's answer (K, *S) to each window that is asked for, in order."""
    done = 0
    while done < len(asked):
        batch = asked[done : done + batch_size]
        try:
            logits = network(stacked(batch))
        except OutOfMemory:
            if len(batch) == 1:
                raise
            batch_size = len(batch) // 2
            _tell(len(batch), batch_size)
            continue
        yield from logits
        del logits
        done += len(batch)


@cache
def _tell(before: int, after: int) -> None:
    console.print(f"out of memory with {before} windows at once: goes on with {after}")


def _turned_back(answers: Iterator[Floats], flips: Sequence[Flip]) -> Iterator[Floats]:
    """The mean logits (K, a, b, c) of each window, whose mirror images come one after another."""
    for first in answers:
        if len(flips) == 1:
            yield first[..., None] if first.ndim == 3 else first
            continue
        total = first.copy()
        del first  # and the batch that it is part of
        for flip in flips[1:]:
            total += np.flip(next(answers), tuple(1 + axis for axis in flip))
        total /= np.float32(len(flips))
        yield total[..., None] if total.ndim == 3 else total


class _Ring:
    """Weighted sums of logits over the planes that windows still reach, and of the weights.

    They lie in the order of the axes of a window, so that adding runs along its memory; along the
    slab axis plane ``i`` lies at ``i`` modulo the depth of a window.
    """

    def __init__(self, plan: WindowPlan, slab_axis: int, out_channels: int) -> None:
        self.plan = plan
        self.axis = slab_axis
        self.depth = min(plan.size[slab_axis], plan.shape[slab_axis])
        extent = [*plan.shape]
        extent[slab_axis] = self.depth
        self.sums = np.zeros((out_channels + 1, *extent), np.float32)
        self.importance = plan.importance()
        self.rows = max(1, _CACHED // (out_channels * math.prod(plan.size[1:])))
        self.scratch = np.empty((out_channels, self.rows, *plan.size[1:]), np.float32)
        self.at_once = _at_once(self.sums[0].size // self.depth, out_channels + 1)
        self.first = 0  # plane that is not finished
        self.absent = np.full((out_channels, 1, 1), ABSENT[1], np.float32)
        self.absent[0] = ABSENT[0]

    def add(self, start: Extent, logits: Floats) -> None:
        """Add the logits (K, a, b, c) of the window at ``start``."""
        for target, inside in self._pieces(*self.plan.places(start)):
            sums, part, weights = self.sums[:, *target], logits[:, *inside], self.importance[inside]
            sums[-1] += weights
            for first in range(0, len(weights), self.rows):
                rows = slice(first, first + self.rows)
                weight = weights[rows]
                weighted = self.scratch[:, : len(weight), : weight.shape[1], : weight.shape[2]]
                np.multiply(part[:, rows], weight, out=weighted)
                sums[:-1, rows] += weighted

    def finished(self, stop: int) -> Iterator[tuple[int, Floats]]:
        """Logits of the planes before ``stop`` that were not given yet; their sums are cleared."""
        while self.first < stop:
            at = self.first % self.depth
            count = min(self.at_once, stop - self.first, self.depth - at)
            part = self.sums[:, *self._along(at, at + count)]
            sums = np.array(np.moveaxis(part, 1 + self.axis, 0), order="C")
            part[...] = 0
            yield self.first, self._divided(sums[:, :-1], sums[:, -1:])
            self.first += count

    def _divided(self, sums: Floats, weights: Floats) -> Floats:
        nowhere = weights == 0
        weights[nowhere] = 1
        sums /= weights
        if nowhere.any():
            np.copyto(sums, self.absent, where=nowhere)
        return sums

    def _pieces(self, there: Region, inside: Region) -> Iterator[tuple[Region, Region]]:
        """A window's place in the ring and in itself, in two where it reaches round the end."""
        span, own = there[self.axis], inside[self.axis]
        at = span.start % self.depth
        before = min(span.stop - span.start, self.depth - at)
        yield (
            self._with(there, slice(at, at + before)),
            self._with(inside, slice(own.start, own.start + before)),
        )
        if own.start + before < own.stop:
            rest = slice(own.start + before, own.stop)
            around = slice(0, rest.stop - rest.start)
            yield self._with(there, around), self._with(inside, rest)

    def _along(self, first: int, stop: int) -> Region:
        return self._with((slice(None),) * 3, slice(first, stop))

    def _with(self, region: Region, span: slice) -> Region:
        """``region`` with ``span`` along the slab axis."""
        a, b, c = (span if axis == self.axis else side for axis, side in enumerate(region))
        return a, b, c


def _planes(logits: Floats, slab_axis: int) -> Iterator[tuple[int, Floats]]:
    """Logits (K, A, B, C) as planes (n, K, P, Q), a few at once."""
    by_plane = np.moveaxis(logits, 1 + slab_axis, 0)
    count = _at_once(by_plane[0, 0].size, by_plane.shape[1])
    for first in range(0, len(by_plane), count):
        yield first, np.ascontiguousarray(by_plane[first : first + count], np.float32)
