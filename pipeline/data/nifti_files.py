"""Read NIfTI files, one or two a volume, plain or zipped, as far as they keep what they claim."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.findings import refusal
from pipeline.data.limits import SMALLER, Limits
from pipeline.data.nifti import (
    HEADER_SIZES,
    WRITE_AGAIN,
    Layout,
    parse_header,
    size_and_order,
    truncated,
)
from pipeline.data.sources import Source


@dataclass(frozen=True)
class OpenedNifti:
    """A NIfTI file of which the header is read, and the voxels are to be.

    Args:
        header: mended where it has one reading only.
        layout: of the voxels.
        source: of the voxels, which stands at the first.
    """

    header: Any
    layout: Layout
    source: Source

    def read(self, num_bytes: int) -> bytes | memoryview:
        """The next bytes of the voxels, as they stand in the file.

        Raises:
            FileUserError: the file is damaged, or holds fewer.
        """
        content = self.source.read(num_bytes)
        if len(content) < num_bytes:
            raise truncated(self.source.path, self._end, self.source.place)
        return content

    def finish(self) -> None:
        """Prove that the file ends here, behind the voxels.

        Raises:
            FileUserError: the file is damaged, or goes on.
        """
        if self.source.finish():
            what = f"goes on behind the {self.layout.num_voxels} voxels of its header"
            raise refusal("surplus-bytes", self.source.path, what, WRITE_AGAIN)

    def go_to_voxels(self, limits: Limits) -> None:
        """Skip what stands before the first voxel, once the header's claims are held to the file.

        Raises:
            FileUserError: it claims more than the file has, or than ``limits`` allow.
        """
        source = self.source
        if source.left is not None and source.place + source.left < self._end:
            raise truncated(source.path, self._end, source.place + source.left)
        if not self.layout.fits(limits):
            what = f"claims {self.layout.num_voxels} voxels, and {limits.num_voxels} are the limit"
            raise refusal("too-large", source.path, what, SMALLER)
        source.skip(self.layout.offset - source.place)

    @property
    def _end(self) -> int:
        return self.layout.offset + self.layout.num_bytes


def read_nifti(path: Path) -> tuple[NDArray[Any], Any]:
    """Voxels (two to seven axes, scaled, not to be written into) and header of a NIfTI file.

    One pass over the file; nothing is allocated that the limits forbid or that the file cannot
    hold. ``path`` may be either half of an ``.hdr`` and ``.img`` pair.

    Raises:
        FileUserError: with the code of what is wrong.
    """
    with opened_nifti(path, Limits.in_force()) as file:
        content = file.read(file.layout.num_bytes)
        file.finish()
    voxels = np.frombuffer(content, file.layout.dtype)
    return file.layout.scaled(voxels.reshape(file.layout.shape, order="F")), file.header


@contextmanager
def opened_nifti(path: Path, limits: Limits) -> Iterator[OpenedNifti]:
    """A NIfTI file to be read from its first voxel on; an error within tells damage first.

    Args:
        path: of the file, or of either half of an ``.hdr`` and ``.img`` pair.
        limits: on its content.

    Raises:
        FileUserError: with the code of what is wrong.
    """
    header_path, image_path = _halves(path)
    with ExitStack() as files:
        source = files.enter_context(Source(header_path, limits))
        header, layout = _header(source)
        if layout.apart != (image_path != header_path):
            what = "has the magic of a file whose voxels are elsewhere, or the reverse"
            remedy = "keep .hdr and .img together under one name"
            raise refusal("not-nifti", header_path, what, remedy)
        if layout.apart:
            source = files.enter_context(Source(image_path, limits))
        files.enter_context(source.damage_first())
        file = OpenedNifti(header, layout, source)
        file.go_to_voxels(limits)
        yield file


def read_nifti_header(path: Path) -> Any:
    """The header of a file that ``read_nifti`` has accepted."""
    with Source(_halves(path)[0], Limits.in_force()) as source:
        return _header(source)[0]


def read_layout(path: Path) -> Layout:
    """What the header of a NIfTI file of any size says of its voxels.

    Raises:
        FileUserError: with the code of what is wrong.
    """
    with Source(_halves(path)[0], Limits.on_disk()) as source:
        return _header(source)[1]


def _halves(path: Path) -> tuple[Path, Path]:
    """The files of header and voxels, one and the same unless ``path`` is half of a pair."""
    name = path.name
    for ending, other in ((".hdr", ".img"), (".img", ".hdr")):
        for zipped in ("", ".gz"):
            if not name.lower().endswith(ending + zipped):
                continue
            stem = name[: -len(ending + zipped)]
            candidates = [path.with_name(stem + other + end) for end in (zipped, "", ".gz")]
            half = next((file for file in candidates if file.exists()), candidates[0])
            return (path, half) if ending == ".hdr" else (half, path)
    return path, path


def _header(source: Source) -> tuple[Any, Layout]:
    with source.damage_first():
        content = bytes(source.read(min(HEADER_SIZES)))
        if content[:2] == b"\x1f\x8b" and source.zipped:
            raise refusal("nested-gzip", source.path, "was zipped twice", "unzip it once")
        size, _ = size_and_order(content, source.path)
        return parse_header(content + bytes(source.read(size - len(content))), source.path)
