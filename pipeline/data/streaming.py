"""A NIfTI file too large for memory: checked in one pass, its planes then read where they lie."""

import math
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from errno import ENOSPC
from functools import cached_property
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pipeline import grids
from pipeline.data.case_checks import channel_of
from pipeline.data.channels import Channel, Facts
from pipeline.data.findings import refusal, shown
from pipeline.data.limits import Limits
from pipeline.data.nifti import Layout
from pipeline.data.nifti_files import OpenedNifti, opened_nifti
from pipeline.data.sources import AGAIN
from pipeline.errors import UserError

_PIECE = 2**18  # voxels that are looked at together


@dataclass(frozen=True)
class FileChannel:
    """An image whose voxels stand in a plain file; nothing of it is held, and it can be pickled.

    Args:
        path: of the plain file.
        offset: bytes before the first voxel of the image.
        shape: (H, W, D).
        layout: of the file that the voxels come from.
    """

    path: Path
    offset: int
    shape: tuple[int, int, int]
    layout: Layout

    def planes(self, first: int, stop: int) -> NDArray[Any]:
        """The planes ``first`` to ``stop`` - 1 (H, W, stop - first), scaled.

        Raises:
            FileUserError: the file is no longer what it was.
        """
        height, width, _ = self.shape
        size, count = height * width, height * width * (stop - first)
        start = self.offset + first * size * self.layout.dtype.itemsize
        try:
            voxels = np.fromfile(self.path, self.layout.dtype, count, offset=start)
        except OSError as error:
            raise refusal("unreadable", self.path, f"is gone ({error.strerror})", AGAIN) from error
        if voxels.size < count:
            raise refusal("truncated", self.path, "was cut while it was read", AGAIN)
        return self.layout.scaled(voxels.reshape((height, width, -1), order="F"))


@dataclass(frozen=True)
class StreamedVolume:
    """A file that was read to its end, and whose voxels are still on disk.

    Args:
        header: of the file, as nibabel holds it.
        shape: (H, W, D), or (H, W, D, C) of a file with several channels.
        channels: each (H, W, D).
        facts: of each channel.
    """

    header: Any
    shape: tuple[int, ...]
    channels: tuple[Channel, ...]
    facts: tuple[Facts, ...]

    @cached_property
    def affine(self) -> NDArray[np.float64]:
        """From voxel indices to millimetres (RAS), 4 x 4."""
        return np.asarray(self.header.get_best_affine(), dtype=np.float64)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres per voxel along each axis."""
        return grids.spacing(self.affine)


@dataclass(frozen=True)
class StreamedImage:
    """One modality of a case.

    Args:
        path: of its file.
        volume: the whole file.
        channel: of a file of several, else None.
    """

    path: Path
    volume: StreamedVolume
    channel: int | None

    @property
    def voxels(self) -> Channel:
        """Of this modality.

        Raises:
            FileUserError: the file has several channels and none is named, or not that one.
        """
        return self.volume.channels[channel_of(self.path, self.volume.shape, self.channel)]

    @property
    def facts(self) -> Facts:
        """What the voxels say of the image.

        Raises:
            FileUserError: the file has several channels and none is named, or not that one.
        """
        return self.volume.facts[channel_of(self.path, self.volume.shape, self.channel)]


@contextmanager
def streamed(path: Path, folder: Path) -> Iterator[StreamedVolume]:
    """A NIfTI file, read to its end so that its checksum is verified, a piece at a time.

    A plain file is used where it is, and what a zip holds is kept in ``folder`` meanwhile.

    Raises:
        UserError: the file is refused, or ``folder`` has no room for what it holds.
    """
    with ExitStack() as kept:
        with opened_nifti(path, Limits.on_disk()) as file, _sentences(path, folder):
            plain, offset, copy = file.source.path, file.layout.offset, None
            if file.source.zipped:
                _check_room(file, folder)
                copy = kept.enter_context(_private_file(folder))
                plain, offset = Path(copy.name), 0
            facts = _looked_at(file, copy)
        yield _volume(file, facts, plain, offset)


def _volume(
    file: OpenedNifti, facts: tuple[Facts, ...], plain: Path, offset: int
) -> StreamedVolume:
    layout = file.layout
    height, width, depth, *_ = shape = layout.shape + (1,) * (3 - len(layout.shape))
    size = height * width * depth * layout.dtype.itemsize
    channels = tuple(
        FileChannel(plain, offset + number * size, (height, width, depth), layout)
        for number in range(len(facts))
    )
    return StreamedVolume(file.header, shape, channels, facts)


def _looked_at(file: OpenedNifti, copy: IO[bytes] | None) -> tuple[Facts, ...]:
    """What the voxels of each channel say, after a pass that also writes a ``copy`` of them."""
    layout = file.layout
    num_voxels = math.prod(layout.shape[:3])
    channels = tuple(Facts() for _ in range(math.prod(layout.shape[3:])))
    for facts in channels:
        for start in range(0, num_voxels, _PIECE):
            count = min(_PIECE, num_voxels - start)
            content = file.read(count * layout.dtype.itemsize)
            if copy is not None and copy.write(content) < len(content):
                raise OSError(ENOSPC, os.strerror(ENOSPC))
            facts.add(layout.scaled(np.frombuffer(content, layout.dtype)))
    file.finish()
    return channels


def _check_room(file: OpenedNifti, folder: Path) -> None:
    needed, free = file.layout.num_bytes, shutil.disk_usage(folder).free
    if needed > free:
        what = f"takes {needed} bytes unzipped, and {shown(folder)} has {free} left"
        raise refusal("too-large", file.source.path, what, "unzip it where there is room")


def _private_file(folder: Path) -> IO[bytes]:
    """A file that only its owner may read, which goes when it is closed."""
    return NamedTemporaryFile(dir=folder, prefix=".voxels-", buffering=0)


@contextmanager
def _sentences(path: Path, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot keep what {shown(path)} holds in {shown(folder)} ({error.strerror}): "
            "unzip it where there is room"
        ) from error
