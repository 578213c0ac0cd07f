"""One image (H, W, D) that gives its planes, in memory or not, and what its voxels say of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

_PIECE = 2**17  # voxels that are looked at together, so that they stay in the processor's cache


class Channel(Protocol):
    """An image whose planes are asked for; asking for few takes little memory."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, D)."""

    def planes(self, first: int, stop: int) -> NDArray[Any]:
        """The planes ``first`` to ``stop`` - 1 of the last axis (H, W, stop - first), scaled."""


@dataclass(frozen=True)
class ArrayChannel:
    """An image in memory.

    Args:
        array: (H, W, D).
    """

    array: NDArray[Any]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, D)."""
        height, width, depth = self.array.shape
        return height, width, depth

    def planes(self, first: int, stop: int) -> NDArray[Any]:
        """A view of the planes (H, W, stop - first)."""
        return self.array[..., first:stop]


@dataclass
class Facts:
    """What the voxels of an image say of it, gathered piece by piece.

    Args:
        first: the value of the first voxel.
        num_wrong: voxels that are not finite.
        constant: whether all have the value of the first.
        empty: whether all are zero.
    """

    first: Any = None
    num_wrong: int = 0
    constant: bool = True
    empty: bool = True

    @classmethod
    def of(cls, image: NDArray[Any]) -> "Facts":
        """Those of an image in memory."""
        facts, voxels = cls(), image.reshape(-1, order="A")
        for start in range(0, voxels.size, _PIECE):
            facts.add(voxels[start : start + _PIECE])
            if facts.settled(image.dtype):
                break
        return facts

    def add(self, voxels: NDArray[Any]) -> None:
        """Look at more voxels (N,)."""
        if self.first is None:
            self.first = voxels[0]
        if voxels.dtype.kind == "f":
            self.num_wrong += voxels.size - int(np.count_nonzero(np.isfinite(voxels)))
        self.constant = self.constant and bool((voxels == self.first).all())
        self.empty = self.empty and not voxels.any()

    def settled(self, dtype: np.dtype[Any]) -> bool:
        """Whether no voxel of ``dtype`` can change them."""
        return dtype.kind != "f" and not self.constant and not self.empty


def identical(image: Channel, other: Channel) -> bool:
    """Whether two images have the same voxels, compared plane by plane."""
    if image.shape != other.shape:
        return False
    return all(
        np.array_equal(mine, theirs)
        for mine, theirs in zip(_single_planes(image), _single_planes(other), strict=True)
    )


def _single_planes(image: Channel) -> Iterator[NDArray[Any]]:
    for place in range(image.shape[2]):
        yield image.planes(place, place + 1)
