"""Write files whole or not at all."""

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.errors import UserError


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: beside, then rename.

    Raises:
        UserError: the folder cannot be written.
    """
    write_pieces(path, (content,))


def write_pieces(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file whole or not at all, each piece as it comes.

    Raises:
        UserError: the folder cannot be written.
    """
    part = beside(path, "part")
    try:
        with cannot_write(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.writelines(pieces)
            part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink()


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` as JSON, whole or not at all.

    Raises:
        UserError: the folder cannot be written.
    """
    write_bytes(path, (json.dumps(content, indent=2) + "\n").encode())


def check_writable(folder: Path) -> None:
    """Refuse now a ``folder`` in which nothing could be written later; it need not exist.

    Raises:
        UserError: it cannot be made or written.
    """
    with cannot_write(folder):
        whole = folder.absolute()
        there = next(path for path in (whole, *whole.parents) if path.exists())
        if not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def beside(path: Path, kind: str) -> Path:
    """A hidden file of this process in the folder of ``path``, which may take its place."""
    return path.with_name(f".{path.name}.{os.getpid()}.{kind}")


@contextmanager
def cannot_write(path: Path) -> Iterator[None]:
    """Say of what the system refuses that ``path`` cannot be written.

    Raises:
        UserError: the system refuses.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}): choose another output") from error
