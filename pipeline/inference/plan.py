"""Which windows of a volume a network sees, decided before anything runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, combinations, pairwise, product

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UserError, nearest

BLOCK = 8
"""Voxels along each side of the blocks in which it is told where an image is empty."""

MODES = ("constant", "gaussian")
"""How overlapping windows are blended."""

_SIGMA = 0.125  # of a window's size; as MONAI has it
_LEAST = 1e-3  # importance of a corner; as MONAI has it

Extent = tuple[int, int, int]
"""Voxels along each axis of a volume or window, or where a window starts."""

Region = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Windowing:
    """How a network of patches sees a whole volume.

    Args:
        spatial_dims: of the network; 2 sees the axial slices (the last axis) one by one.
        patch_size: of a window, voxels, one number for each of ``spatial_dims``; None takes the
            whole volume as one window.
        divisor: what the sizes of a whole window are rounded up to a multiple of; one of them is
            at least twice that.
        overlap: of neighbouring windows, as a fraction of the window, in [0, 1).
        mode: how windows are blended, "gaussian" or "constant".
        mirror: axes of the volume, 0 to 2, over whose mirror images, alone and together, logits
            are averaged.

    Raises:
        UserError: ``overlap``, ``mode`` or ``mirror`` is none of these.
    """

    spatial_dims: int
    patch_size: tuple[int, ...] | None
    divisor: int = 1
    overlap: float = 0.5
    mode: str = "gaussian"
    mirror: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < 1:
            raise UserError(f"overlap of the inferer is a fraction in [0, 1), not {self.overlap}")
        if self.mode not in MODES:
            raise UserError(f"the inferer has no mode {self.mode!r}: {nearest(self.mode, MODES)}")
        if not set(self.mirror) <= {0, 1, 2}:
            raise UserError(f"mirror takes axes from 0 to 2, not {list(self.mirror)}")


@dataclass(frozen=True)
class WindowPlan:
    """The windows over one volume; the same for every backend, batch and memory.

    Args:
        shape: of the volume, voxels.
        size: of each window; it may reach beyond the volume, where zeros are.
        starts: of each window along each axis; negative where the volume is smaller.
        skipped: windows that were left out because nothing is in them.
        mode: how windows are blended.
        spatial_dims: of the network that sees them; 2 drops the last axis, whose size is 1.
    """

    shape: Extent
    size: Extent
    starts: tuple[Extent, ...]
    skipped: int
    mode: str
    spatial_dims: int = 3

    @property
    def computed_over_needed(self) -> float:
        """Voxels that the network computes over voxels of the volume."""
        return len(self.starts) * math.prod(self.size) / max(1, math.prod(self.shape))

    @property
    def alone(self) -> bool:
        """Whether one window covers the volume."""
        return len(self.starts) == 1 and not self.skipped

    def describe(self) -> tuple[str, ...]:
        """The lines that tell a person of the plan."""
        size, shape = (" x ".join(map(str, extent)) for extent in (self.size, self.shape))
        windows = "1 window" if len(self.starts) == 1 else f"{len(self.starts)} windows"
        return (
            f"{windows} of {size} voxels over {shape}, {self.skipped} empty skipped",
            f"{self.computed_over_needed:.2f} voxels computed for each of the volume",
        )

    def places(self, start: Extent) -> tuple[Region, Region]:
        """What of the volume the window at ``start`` covers, and where that is in the window."""
        ends = zip(start, self.size, self.shape, strict=True)
        spans = [(max(first, 0), min(first + size, length)) for first, size, length in ends]
        x, y, z = (slice(first, stop) for first, stop in spans)
        a, b, c = (
            slice(first - at, stop - at) for (first, stop), at in zip(spans, start, strict=True)
        )
        return (x, y, z), (a, b, c)

    def flips(self, mirror: Sequence[int]) -> tuple[tuple[int, ...], ...]:
        """The subsets of the axes ``mirror`` whose mirror images of a window differ, () first."""
        axes = [axis for axis in sorted(set(mirror)) if self.size[axis] > 1]
        subsets = (combinations(axes, count) for count in range(len(axes) + 1))
        return tuple(chain.from_iterable(subsets))

    def importance(self) -> NDArray[np.float32]:
        """The weight (a, b, c) of each voxel of a window among the windows that share it."""
        return importance(self.size, self.mode if self._overlapping else "constant")

    @property
    def _overlapping(self) -> bool:
        """Whether some voxels are in two windows."""
        sides = zip(zip(*self.starts, strict=True), self.size, strict=False)
        return any(
            after - before < size
            for starts, size in sides
            for before, after in pairwise(sorted(set(starts)))
        )


def plan_windows(
    shape: Extent, windowing: Windowing, occupied: NDArray[np.bool_] | None = None
) -> WindowPlan:
    """The windows over a volume of ``shape``: evenly placed, as few as the overlap asks for.

    Args:
        shape: voxels.
        windowing: how the network sees a volume.
        occupied: blocks of ``BLOCK`` voxels a side that are not empty, (A', B', C'); windows that
            touch none of them are skipped. None skips nothing.
    """
    size = _window_size(shape, windowing)
    x, y, z = (_starts(*side, windowing.overlap) for side in zip(shape, size, strict=True))
    every = tuple(product(x, y, z))
    kept = every if occupied is None else tuple(s for s in every if _any(occupied, s, size))
    dims = windowing.spatial_dims
    return WindowPlan(shape, size, kept, len(every) - len(kept), windowing.mode, dims)


def importance(size: Sequence[int], mode: str) -> NDArray[np.float32]:
    """The weight of each voxel of a window: 1, or a Gaussian that falls towards the sides.

    It is MONAI's map: sigma is an eighth of the size, weights are at least 0.001.
    """
    if mode == "constant":
        return np.ones(size, np.float32)
    weights = np.ones((), np.float32)
    for length in size:
        away = np.arange(length, dtype=np.float32) - np.float32((length - 1) / 2)
        side = np.exp(away**2 / np.float32(-2 * (_SIGMA * length) ** 2))
        weights = weights[..., None] * side
    return np.maximum(weights, np.float32(_LEAST))


def _window_size(shape: Extent, windowing: Windowing) -> Extent:
    sizes, divisor = windowing.patch_size, windowing.divisor
    if sizes is None:
        seen = shape[: windowing.spatial_dims]
        sizes = tuple(-(-length // divisor) * divisor for length in seen)
        if set(sizes) == {divisor}:  # one voxel at the coarsest resolution has no deviation
            sizes = (2 * divisor, *sizes[1:])
    a, b, c = (*sizes, 1)[:3]
    return a, b, c


def _starts(length: int, size: int, overlap: float) -> list[int]:
    """Where windows of ``size`` start along an axis, so that neighbours overlap enough."""
    spare = length - size
    if spare <= 0:
        return [-(-spare // 2)]
    furthest = max(1, math.floor(size * (1 - overlap) + 1e-9))
    steps = -(-spare // furthest)
    return [int(start) for start in np.rint(np.arange(steps + 1) * spare / steps)]


def _any(occupied: NDArray[np.bool_], start: Extent, size: Extent) -> bool:
    """Whether a window touches a block that is not empty."""
    sides = zip(start, size, strict=True)
    blocks = tuple(slice(max(at, 0) // BLOCK, -(-(at + length) // BLOCK)) for at, length in sides)
    return bool(occupied[blocks].any())
