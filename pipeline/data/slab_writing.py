"""Write a volume plane by plane, in any order, without holding it."""

from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pipeline.data import pixels
from pipeline.data.volumes import header_bytes
from pipeline.data.zipping import zipped
from pipeline.files import beside, cannot_write, write_pieces


class VolumeWriter:
    """A volume (H, W, D) that is written when its context ends well, and is what it was otherwise.

    The file becomes the one that ``write_volume`` writes. Until then the planes stand uncompressed
    in a hidden file beside it.

    Args:
        path: of a NIfTI file or a 2D image.
        dtype: of the voxels.
        like: header of the grid and shape; of several channels it is the shape of one.
    """

    def __init__(self, path: Path, dtype: DTypeLike, like: Any) -> None:
        shape = tuple(map(int, like.get_data_shape()[:3]))
        self.path = path
        self.dtype: np.dtype[Any] = np.dtype(dtype).newbyteorder("=")
        self.shape = shape + (1,) * (3 - len(shape))
        self._header = b"" if pixels.is_image(path) else header_bytes(like, shape, self.dtype)
        self._planes: BinaryIO
        self._cleanup = ExitStack()

    def __enter__(self) -> "VolumeWriter":
        hidden = beside(self.path, "planes")
        with cannot_write(self.path), ExitStack() as cleanup:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            cleanup.callback(_remove, hidden)
            self._planes = hidden.open("wb+", buffering=0)
            cleanup.callback(self._planes.close)
            self._put(0, self._header)
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._cleanup:
            if kind is None:
                self._finish()

    def write(self, place: int, plane: NDArray[Any]) -> None:
        """Write ``plane`` (H, W) at its ``place`` on the last axis; places left out are zero.

        Raises:
            UserError: there is no room for it.
            ValueError: the plane has another shape, or lies outside.
        """
        if plane.shape != self.shape[:2] or not 0 <= place < self.shape[2]:
            raise ValueError(
                f"a plane {plane.shape} at {place} does not belong to a volume {self.shape}"
            )
        content = plane.astype(self.dtype, copy=False, casting="same_kind").tobytes(order="F")
        with cannot_write(self.path):
            self._put(len(self._header) + place * len(content), content)

    def _put(self, offset: int, content: bytes) -> None:
        self._planes.seek(offset)
        while content:  # the system may take less than all, and then refuse the rest
            content = content[self._planes.write(content) :]

    def _finish(self) -> None:
        with cannot_write(self.path):
            num_voxels = self.shape[0] * self.shape[1] * self.shape[2]
            self._planes.truncate(len(self._header) + num_voxels * self.dtype.itemsize)
            self._planes.seek(0)
            if pixels.is_image(self.path):
                voxels = np.frombuffer(self._planes.read(), self.dtype)
                pixels.write_pixels(self.path, voxels.reshape(self.shape[:2], order="F"))
            elif self.path.name.lower().endswith(".gz"):
                write_pieces(self.path, zipped(self._planes))
            else:
                beside(self.path, "planes").replace(self.path)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
