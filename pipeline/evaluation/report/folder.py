"""The folder of a report: whole or not there, and never in place of something else."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from tempfile import mkdtemp

from pipeline.errors import UserError
from pipeline.files import cannot_write

MARK = '<meta name="generator" content="unet-bundles report">'
"""Stands in ``index.html``, so that a report is known from other folders."""


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """A folder to fill beside ``output``, which takes its place at the end unless an error comes.

    A report that is at ``output`` is replaced.

    Raises:
        UserError: ``output`` is a file or holds something else, or cannot be written.
    """
    output = output.absolute()
    check_free(output)
    with cannot_write(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        part = Path(mkdtemp(prefix=f".{output.name}.", suffix=".part", dir=output.parent))
    try:
        with cannot_write(output):
            new = part / "new"
            new.mkdir()
            yield new
            if output.exists():
                output.rename(part / "old")
            new.rename(output)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def check_free(output: Path) -> None:
    """Refuse a place that holds anything but a report.

    Raises:
        UserError: ``output`` is a file, a mounted disk, or a folder that is neither empty nor a
            report.
    """
    if os.path.ismount(output):
        raise UserError(f"{output} is a disk of its own: name a folder in it as the output")
    if not output.exists() or _is_report(output):
        return
    if not output.is_dir() or any(output.iterdir()):
        raise UserError(
            f"{output} exists and is no report: choose another output, or remove it first"
        )


def copy_assets(folder: Path) -> None:
    """Copy the viewer, its licence, styles and scripts into ``folder/assets``."""
    (folder / "assets").mkdir()
    for asset in (files(__package__) / "assets").iterdir():
        if not asset.name.startswith(("_", ".")):
            (folder / "assets" / asset.name).write_bytes(asset.read_bytes())


def _is_report(output: Path) -> bool:
    index = output / "index.html"
    return index.is_file() and MARK in index.read_text(errors="replace")
