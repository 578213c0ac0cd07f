"""What a layout finds, before a task chooses among its modalities."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.data.modalities import canonical
from pipeline.errors import UserError

Image = tuple[Path, int | None]
"""A file, and the channel in a file of several or None."""


@dataclass(frozen=True)
class Found:
    """One case as it lies on disk.

    Args:
        name: names the outputs.
        files: by canonical modality; the label under "label".
        problems: a sentence by modality that cannot be used; "" stands for the whole case.
        private: whether the paths may name a patient.
        meant: whether it is a case of the task for certain, whatever files it has.
        subject: who has several cases; None where each case is a subject.
        ambiguous: whether it has several labels, or stands for several cases that have one.
    """

    name: str
    files: Mapping[str, Image]
    problems: Mapping[str, str] = field(default_factory=dict)
    private: bool = False
    meant: bool = False
    subject: str | None = None
    ambiguous: bool = False

    @property
    def is_closed(self) -> bool:
        """Whether it stands for a folder that the system does not list."""
        return "" in self.problems and not self.files

    def problem(self, modalities: Iterable[str]) -> str | None:
        """Why the case cannot be used for these canonical modalities, or None."""
        return next((self.problems[key] for key in ("", *modalities) if key in self.problems), None)


@dataclass(frozen=True)
class Listing:
    """The cases that a layout finds.

    Args:
        source: the folder, or the file that lists the cases.
        cases: in any order.
        convention: of the label files' values, where the layout tells it.
        modalities: canonical names that ``source`` declares for all cases, or None.
        described: whether modalities are told by the descriptions of DICOM series.
        notes: for the screen only.
    """

    source: Path
    cases: tuple[Found, ...]
    convention: str | None = None
    modalities: tuple[str, ...] | None = None
    described: bool = False
    notes: tuple[str, ...] = ()


def gathered(name: str, files: Iterable[tuple[str, Path]]) -> Found:
    """A case of one file a modality; two of one modality are a problem."""
    by_modality: dict[str, Path] = {}
    problems = {}
    for modality, path in files:
        other = by_modality.setdefault(modality, path)
        if other != path:
            problems[modality] = (
                f"case {name} has two {modality} files, {other} and {path}: "
                "keep one, or list the cases in a CSV file"
            )
    images: dict[str, Image] = {key: (path, None) for key, path in by_modality.items()}
    return Found(name, images, problems, ambiguous="label" in problems)


def told_apart(listing: Listing) -> Listing:
    """``listing`` in which cases of one name are one that cannot be used."""
    by_name: dict[str, list[Found]] = {}
    for found in listing.cases:
        by_name.setdefault(found.name, []).append(found)
    return replace(listing, cases=tuple(_only(listing, *same) for same in by_name.values()))


def _only(listing: Listing, *namesakes: Found) -> Found:
    found = namesakes[0]
    if len(namesakes) == 1:
        return found
    closed = next((case for case in namesakes if case.is_closed), None)
    if closed is not None:
        return closed
    known = [next(iter(case.files.values()))[0] for case in namesakes if case.files]
    problem = (
        f"{len(namesakes)} cases of {listing.source} have the name {found.name}, such as those of "
        f"{' and '.join(map(str, known[:2]))}: rename their files, or list the cases in a CSV file"
    )
    labelled = any("label" in case.files for case in namesakes)
    return replace(found, problems={"": problem}, ambiguous=labelled)


def is_searched(folder: str) -> bool:
    """Whether a folder of this name may hold cases; hidden ones and that of a disk do not."""
    return not folder.startswith(".") and folder != "lost+found"


def walked(
    root: Path, on_error: Callable[[OSError], None] | None = None
) -> Iterator[tuple[Path, list[str]]]:
    """Each folder below ``root`` and its files, once, hidden folders left out.

    Links are followed after the folders beside them, which keep their names.
    """
    seen: set[str] = set()
    for name, folders, files in os.walk(root, onerror=on_error, followlinks=True):
        real = os.path.realpath(name)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        searched = filter(is_searched, folders)
        folders[:] = sorted(searched, key=lambda folder: (Path(name, folder).is_symlink(), folder))
        yield Path(name), sorted(files)


def unlisted(root: Path, error: OSError) -> Found:
    """What stands for the cases in a folder below ``root`` that the system refuses to list."""
    folder = Path(error.filename)
    problem = f"cannot list the folder {folder} ({error.strerror}): make it readable, or move it"
    return Found("_".join(folder.relative_to(root).parts) or folder.name, {}, {"": problem})


def channel_names(source: Path, key: str, named: Any) -> dict[int, str]:
    """Canonical modalities by channel, as ``key`` of the JSON file ``source`` names them.

    Raises:
        UserError: ``named`` is not of the form ``{"0": "FLAIR", "1": "T1"}``, or names one twice.
    """
    try:
        names = {int(channel): canonical(name) for channel, name in named.items()}
    except (AttributeError, ValueError) as error:
        raise UserError(
            f'"{key}" in {source} names no channels: write {{"0": "FLAIR", "1": "T1"}} and so on'
        ) from error
    known = list(names.values())
    for name in known:
        if known.count(name) > 1:
            raise UserError(f"{source} names two channels that are {name}: rename one")
    return names


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path} ({error}): repair it") from error
