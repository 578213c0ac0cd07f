"""A stack of planes in a file, of which only those asked for are in memory."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Planes:
    """Planes that are read and written by their number; those never written are zero.

    They are read rather than mapped: pages of a mapped file count as memory of the process, those
    that the system keeps of a file that is read do not. Another process that is given the object
    opens the same file.

    Args:
        path: of the file, which is made if there is none.
        shape: number of planes, then that of a plane.
        dtype: of the numbers.
    """

    _file = -1

    def __init__(self, path: Path, shape: Sequence[int], dtype: DTypeLike = np.float32) -> None:
        self.path = path
        self.shape = tuple(int(size) for size in shape)
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self.plane_bytes = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if os.fstat(self._file).st_size < self.shape[0] * self.plane_bytes:
            os.ftruncate(self._file, self.shape[0] * self.plane_bytes)

    def read(self, first: int, stop: int) -> NDArray[Any]:
        """The planes from ``first`` to before ``stop``."""
        planes = np.empty((stop - first, *self.shape[1:]), self.dtype)
        rest = planes.data.cast("B") if planes.size else memoryview(b"")
        place = first * self.plane_bytes
        while rest:
            done = os.preadv(self._file, [rest], place)
            if done == 0:
                raise EOFError(f"{self.path} has no plane {stop - 1}")
            rest, place = rest[done:], place + done
        return planes

    def write(self, first: int, planes: NDArray[Any]) -> None:
        """Put ``planes`` (n, *plane) at ``first`` and after."""
        planes = np.ascontiguousarray(planes, self.dtype)
        rest = planes.data.cast("B") if planes.size else memoryview(b"")
        place = first * self.plane_bytes
        while rest:
            done = os.pwrite(self._file, rest, place)
            rest, place = rest[done:], place + done

    def close(self) -> None:
        """Close the file, which stays."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __del__(self) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return Planes, (self.path, self.shape, self.dtype)
