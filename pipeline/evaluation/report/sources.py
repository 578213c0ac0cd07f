"""What a report is made of, and what of it may be told."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from pipeline.bundles import RECORD
from pipeline.data.cases import Cohort
from pipeline.data.findings import shown
from pipeline.tasks import Task

_FOLDERS = re.compile(r"(?<![\w.<])/(?:[^/\s]+/)+")
"""The folders of an absolute path."""


@dataclass(frozen=True)
class Sources:
    """What a report is made of.

    Args:
        predictions: folder of ``<case>.nii.gz`` and of what ``segment`` recorded.
        cohort: the images.
        task: what was segmented.
        convention: of the values in the predicted files.
        references: label files by case; empty where there are none.
        reference_convention: of the values in them.
        folders: other folders that sentences may name, by what to call them.
    """

    predictions: Path
    cohort: Cohort
    task: Task
    convention: str
    references: Mapping[str, Path] = field(default_factory=dict)
    reference_convention: str = ""
    folders: Mapping[str, Path] = field(default_factory=dict)

    @cached_property
    def record(self) -> dict[str, Any]:
        """What ``segment`` wrote beside the predictions, without folders; empty if unreadable."""
        try:
            content = json.loads((self.predictions / RECORD).read_text())
        except (OSError, ValueError):
            return {}
        return self._told(content) if isinstance(content, dict) else {}

    def recorded(self, case: str) -> dict[str, Any]:
        """What the record says of one case."""
        cases = self.record.get("cases")
        entry = cases.get(case) if isinstance(cases, dict) else None
        return entry if isinstance(entry, dict) else {}

    def public(self, text: str, case: str | None = None) -> str:
        """``text``, which may be about ``case``, without folders: fit for a report."""
        named = {"predictions": self.predictions, "images": self.cohort.root} | dict(self.folders)
        known = {path: name for name, path in named.items()}
        if case is not None:
            text = self.cohort.public(case, text)
            known |= dict.fromkeys(self._folders_of(case), case)
        known |= {path.absolute(): name for path, name in known.items()}
        for path in sorted(known, key=lambda path: -len(str(path))):
            for written in {str(path), shown(path)} - {"/", "."}:
                below = rf"(?<![\w./-]){re.escape(written)}(?:(/(?:[^/\s]+/)*)|(?![\w.-]))"
                text = re.sub(below, partial(_named, known[path]), text)
        return _FOLDERS.sub("", text)

    def _folders_of(self, name: str) -> set[Path]:
        """Where the files of a case lie."""
        files = [path for case in self.cohort.cases if case.name == name for path, _ in case.images]
        return {path.parent for path in (*files, self.references.get(name, Path("/")))}

    def _told(self, value: Any) -> Any:
        """``value`` of JSON with its texts made fit for a report."""
        if isinstance(value, dict):
            return {str(key): self._told(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._told(item) for item in value]
        return self.public(value) if isinstance(value, str) else value


def _named(name: str, found: re.Match[str]) -> str:
    """Nothing for folders that a file's name follows, else what the folder is called."""
    return "" if found[1] else name
