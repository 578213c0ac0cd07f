"""The mean of the probabilities of several networks, in the memory of one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.inference.planes import Planes


class Mean:
    """The mean over members whose planes come one member after the other.

    The sum lies in a file of planes; one member alone goes through as it is.

    Args:
        path: of the file.
        members: how many come.
        shape: of the result, (Z, X, Y).
        channels: of a plane.
    """

    def __init__(self, path: Path, members: int, shape: tuple[int, ...], channels: int) -> None:
        self.members = members
        self.seen = 0
        self.touched: set[int] = set()
        if members > 1:
            self.sum = Planes(path, (shape[0], channels, *shape[1:]))

    def over(
        self, planes: Iterator[tuple[int, NDArray[Any]]]
    ) -> Iterator[tuple[int, NDArray[Any]]]:
        """The planes (channels, X, Y) of one member; gives those of the mean after the last."""
        if self.members == 1:
            yield from planes
            return
        for z, plane in planes:
            self.sum.write(z, self.sum.read(z, z + 1) + plane)
            self.touched.add(z)
        self.seen += 1
        if self.seen == self.members:
            for z in sorted(self.touched):
                yield z, self.sum.read(z, z + 1)[0] / np.float32(self.members)
