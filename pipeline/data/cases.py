"""A case and a cohort of them, however they lie on disk."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.data.findings import shown

_REST = r"""[^\s:,;()'"]*"""
"""What a path in a sentence goes on with."""


@dataclass(frozen=True)
class Align:
    """How modalities on different grids come onto that of the first.

    Args:
        how: "grid" (resampled where they are) or "rigid" (registered first).
        report: folder for a JSON file a case that says what was done; None writes none.
    """

    how: str
    report: Path | None = None


@dataclass(frozen=True)
class Case:
    """One subject's files.

    Args:
        name: names the outputs.
        images: path, and channel in a file of several or None, in the order of the task; the path
            of a DICOM series is that of any of its slices.
        label: where there is one.
        align: None refuses modalities on different grids.
        private: whether the paths may name a patient, so that they are for the screen only.
        domain: in a training of several; None where there is one.
        convention: of the label's values; None for that of the cohort.
        subject: who has several cases; None where each case is a subject.
    """

    name: str
    images: tuple[tuple[Path, int | None], ...]
    label: Path | None = None
    align: Align | None = None
    private: bool = False
    domain: str | None = None
    convention: str | None = None
    subject: str | None = None

    def without_paths(self, text: str) -> str:
        """``text`` about this case, fit for a report.

        The folders of a private case, and whatever stands below them, become the case's name.
        """
        if self.private:
            labels = () if self.label is None else (self.label,)
            folders = {path.parent for path in (*(file for file, _ in self.images), *labels)}
            for folder in sorted(folders, key=lambda folder: len(str(folder)), reverse=True):
                text = _hidden(text, folder, self.name)
        return text


@dataclass(frozen=True)
class Cohort:
    """The cases under one folder.

    Args:
        root: the folder.
        convention: of the label files' values, where it is known, else None.
        cases: in the order of their names.
        refused: a sentence for each case that lacks something, by name.
        layout: the name of how the files lie.
        notes: what a person should see on the screen of what was found; never to be written.
        incomplete: those of ``refused`` that are private, with what files they have.
        labels: those of cases that are to be segmented, which forget theirs.
    """

    root: Path
    convention: str | None
    cases: tuple[Case, ...]
    refused: Mapping[str, str] = field(default_factory=dict)
    layout: str = "single"
    notes: tuple[str, ...] = ()
    incomplete: tuple[Case, ...] = ()
    labels: tuple[Path, ...] = ()

    @property
    def labelled(self) -> dict[str, Case]:
        """The cases that have a label, by name."""
        return {case.name: case for case in self.cases if case.label is not None}

    @property
    def subjects(self) -> dict[str, str]:
        """Whose each labelled case is, by the case; itself where it is the only one."""
        return {name: case.subject or name for name, case in self.labelled.items()}

    def aligned(self, align: Align | None) -> "Cohort":
        """The cohort whose cases are brought onto the grid of their first modality."""
        return replace(self, cases=tuple(replace(case, align=align) for case in self.cases))

    def without_paths(self, sentences: Mapping[str, str]) -> dict[str, str]:
        """Sentences by case, fit for a report."""
        return {name: self.public(name, text) for name, text in sentences.items()}

    def public(self, name: str, text: str) -> str:
        """``text`` about the case ``name``, which may be a refused one, fit for a report."""
        known = (*self.cases, *self.incomplete)
        case = next((case for case in known if case.name == name), None)
        if case is None or not case.private:
            return text
        return _hidden(case.without_paths(text), self.root, name)


def _hidden(text: str, folder: Path, name: str) -> str:
    """``text`` in which ``folder``, and each path below it, is ``name``."""
    if folder == folder.parent:  # "/" or ".", which stands in many words
        return text
    for written in (str, shown):
        if written(folder) in text:
            paths = folder.iterdir() if folder.is_dir() else ()
            names = sorted((written(Path(path.name)) for path in paths), key=len, reverse=True)
            known = "|".join(map(re.escape, names))  # which may hold what ends a word
            path = rf"{re.escape(written(folder))}(/({known}))?{_REST}"
            text = re.sub(path, lambda _: name, text)
    return text
