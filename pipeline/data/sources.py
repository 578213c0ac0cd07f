"""The bytes of a file, plain or zipped, a known number of them and then its proven end."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG

from pipeline.data.findings import FileUserError, refusal, shown
from pipeline.data.limits import SMALLER, Limits

AGAIN = "copy it again from its source"
_GZIP = b"\x1f\x8b"
_GZIP_CONTAINER = 16 + zlib.MAX_WBITS
_CHUNK = 2**16  # small, since each member of a stream copies the rest of its chunk
_PIECE = 2**20
_SEARCHED = 2**28  # bytes of a refused file that are inflated to find damage


class Source:
    """A file that is read from its start to its end, once.

    Whether it is zipped is told by its content. Gzip's checksum and length are verified by the time
    that ``finish`` returns; a stream of several members is one file, as gzip defines it.

    Args:
        path: of a regular file.
        limits: on its size.

    Raises:
        FileUserError: the file cannot be opened, is empty, or is larger than ``limits``.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self._packed = _content(path, limits)
        self._place = 0
        self.zipped = self._packed.startswith(_GZIP)
        self._unzip = zlib.decompressobj(_GZIP_CONTAINER)
        self._fed = b""

    def read(self, count: int) -> bytes:
        """The next ``count`` bytes, fewer at the end of the file.

        Raises:
            FileUserError: the gzip stream is damaged.
        """
        if not self.zipped:
            return self._take(count)
        parts = []
        while count > 0 and self._within_member():
            parts.append(self._inflate(count))
            count -= len(parts[-1])
        return b"".join(parts)

    def finish(self) -> int:
        """Go to the end; gives how many bytes were left, of a zip at most one.

        Raises:
            FileUserError: the gzip stream is damaged.
        """
        return len(self.read(1)) if self.zipped else len(self._packed) - self._place

    @contextmanager
    def damage_first(self) -> Iterator[None]:
        """Tell that a zip is damaged rather than what this led to."""
        try:
            yield
        except FileUserError:
            inflated = 0
            while self.zipped and inflated < _SEARCHED and (content := self.read(_PIECE)):
                inflated += len(content)
            raise

    @property
    def left(self) -> int | None:
        """Bytes up to the end, or None where only inflating a zip can tell."""
        return None if self.zipped else len(self._packed) - self._place

    def _take(self, count: int) -> bytes:
        taken = self._packed[self._place : self._place + count]
        self._place += len(taken)
        return taken

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
        self._unzip, self._fed = zlib.decompressobj(_GZIP_CONTAINER), rest
        return True

    def _inflate(self, count: int) -> bytes:
        fed = self._fed or self._take(_CHUNK)
        try:
            content = self._unzip.decompress(fed, count)
        except zlib.error as error:
            raise self._damaged(str(error).rpartition(": ")[2]) from error
        self._fed = self._unzip.unconsumed_tail
        if not fed and not content and not self._unzip.eof:
            raise self._damaged("it ends too early")
        return content

    def _damaged(self, reason: str) -> FileUserError:
        return refusal("damaged-gzip", self.path, f"is damaged ({reason})", AGAIN)


def _content(path: Path, limits: Limits) -> bytes:
    try:
        status = path.stat()
        if not S_ISREG(status.st_mode):
            raise OSError(0, "it is no regular file")
        if status.st_size > limits.num_bytes:
            raise refusal("too-large", path, f"has {status.st_size} bytes", SMALLER)
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or str(error)
        sentence = f"cannot read {shown(path)} ({reason}): check its name and permissions"
        raise FileUserError(sentence, "unreadable", path) from error
    if not content:
        raise refusal("empty-file", path, "is empty", AGAIN)
    return content
