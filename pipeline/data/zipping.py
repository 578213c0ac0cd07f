"""Compress as gzip, fast and with equal bytes for equal content."""

from collections.abc import Iterator
from typing import BinaryIO

from isal import isal_zlib

_GZIP_CONTAINER = 16 + isal_zlib.MAX_WBITS
_LEVEL = 1  # of isal; higher ones take longer and make label maps and probabilities no smaller
_PIECE = 2**20


def zipped(content: BinaryIO) -> Iterator[bytes]:
    """The parts of a gzip stream without time or name that holds what ``content`` goes on with."""
    packer = isal_zlib.compressobj(_LEVEL, wbits=_GZIP_CONTAINER)
    while piece := content.read(_PIECE):
        yield packer.compress(piece)
    yield packer.flush()
