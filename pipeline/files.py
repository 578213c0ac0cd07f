"""Write files whole or not at all."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.errors import UserError


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: beside, then rename.

    Raises:
        UserError: the folder cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}): choose another output") from error
    finally:
        with suppress(OSError):
            part.unlink()


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` as JSON, whole or not at all.

    Raises:
        UserError: the folder cannot be written.
    """
    write_bytes(path, (json.dumps(content, indent=2) + "\n").encode())
