"""The bytes of a file, plain or zipped, a known number of them and then its proven end."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from types import TracebackType
from typing import BinaryIO

import numpy as np
from isal import isal_zlib

from pipeline.data.findings import FileUserError, refusal, shown
from pipeline.data.limits import SMALLER, Limits

AGAIN = "copy it again from its source"
_GZIP = b"\x1f\x8b"
_GZIP_CONTAINER = 16 + isal_zlib.MAX_WBITS
_CHUNK = 2**16  # small, since each member of a stream copies the rest of its chunk
_PIECE = 2**18  # stays in the processor's cache until it is copied
_LARGEST_RATIO = 1032  # of inflated to deflated bytes, since two bits stand for at most 258 bytes
_SEARCHED = 2**28  # bytes of a refused file that are inflated to find damage


class Source:
    """A file that is read from its start to its end, once, and of which little is held.

    Whether it is zipped is told by its content. Gzip's checksum and length are verified by the time
    that ``finish`` returns; a stream of several members is one file, as gzip defines it. A context
    that closes the file. ``place`` counts the bytes that were read, of a zip the inflated ones.

    Args:
        path: of a regular file.
        limits: on its size.

    Raises:
        FileUserError: the file cannot be opened, is empty, or is larger than ``limits``.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self.place = 0
        self._file, self._size = _opened(path, limits)
        self.zipped = self._take(len(_GZIP)) == _GZIP
        self._file.seek(0)
        self._unzip = isal_zlib.decompressobj(_GZIP_CONTAINER)
        self._fed = b""

    def __enter__(self) -> "Source":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def read(self, count: int) -> bytes | memoryview:
        """The next ``count`` bytes, fewer at the end of the file.

        Raises:
            FileUserError: the gzip stream is damaged, or the file cannot be read.
        """
        content = self._inflated(count) if self.zipped else self._take(count)
        self.place += len(content)
        return content

    def skip(self, count: int) -> None:
        """Go on by ``count`` bytes, fewer at the end of the file.

        Raises:
            FileUserError: the gzip stream is damaged, or the file cannot be read.
        """
        skipped = 0
        while skipped < count and (content := self.read(min(count - skipped, _PIECE))):
            skipped += len(content)

    def finish(self) -> int:
        """Go to the end; gives how many bytes were left, of a zip at most one.

        Raises:
            FileUserError: the gzip stream is damaged, or the file cannot be read.
        """
        return len(self.read(1)) if self.left is None else self.left

    @contextmanager
    def damage_first(self) -> Iterator[None]:
        """Tell that a zip is damaged rather than what this led to."""
        try:
            yield
        except FileUserError:
            if self.zipped:
                self.skip(_SEARCHED)
            raise

    @property
    def left(self) -> int | None:
        """Bytes up to the end, or None where only inflating a zip can tell."""
        return None if self.zipped else self._size - self.place

    def _take(self, count: int) -> bytes:
        try:
            return self._file.read(count)
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def _inflated(self, count: int) -> memoryview:
        content = np.empty(min(count, _LARGEST_RATIO * self._size), np.uint8).data
        filled = 0
        while filled < len(content) and self._within_member():
            piece = self._inflate(min(len(content) - filled, _PIECE))
            content[filled : filled + len(piece)] = piece
            filled += len(piece)
        return content[:filled].toreadonly()

    def _within_member(self) -> bool:
        """Whether there is more to inflate; goes on to the next member of the stream if need be."""
        if not self._unzip.eof:
            return True
        rest = self._unzip.unused_data.lstrip(b"\0")
        while len(rest) < len(_GZIP) and (more := self._take(_CHUNK)):
            rest = (rest + more).lstrip(b"\0")
        if not rest:
            return False
        if not rest.startswith(_GZIP):
            raise self._damaged("something else follows its end")
        self._unzip, self._fed = isal_zlib.decompressobj(_GZIP_CONTAINER), rest
        return True

    def _inflate(self, count: int) -> bytes:
        fed = self._fed or self._take(_CHUNK)
        try:
            content = self._unzip.decompress(fed, count)
        except isal_zlib.error as error:  # type: ignore[misc]  # a class, other than its stub says
            _, _, reason = str(error).split(maxsplit=2)  # "Error -1 Invalid deflate block found"
            raise self._damaged(reason.lower()) from error
        self._fed = self._unzip.unconsumed_tail
        if not fed and not content and not self._unzip.eof:
            raise self._damaged("it ends too early")
        return content

    def _damaged(self, reason: str) -> FileUserError:
        return refusal("damaged-gzip", self.path, f"is damaged ({reason})", AGAIN)


def _opened(path: Path, limits: Limits) -> tuple[BinaryIO, int]:
    """The file and its size."""
    try:
        status = path.stat()
        if not S_ISREG(status.st_mode):
            raise OSError(0, "it is no regular file")
        if status.st_size > limits.num_bytes:
            raise refusal("too-large", path, f"has {status.st_size} bytes", SMALLER)
        if not status.st_size:
            raise refusal("empty-file", path, "is empty", AGAIN)
        return path.open("rb"), status.st_size
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError | ValueError) -> FileUserError:
    reason = getattr(error, "strerror", None) or str(error)
    sentence = f"cannot read {shown(path)} ({reason}): check its name and permissions"
    return FileUserError(sentence, "unreadable", path)
