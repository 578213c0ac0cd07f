"""What a comparison has found so far, in its folder."""

import fcntl
import json
import os
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from pipeline.comparison.results import Comparison
from pipeline.comparison.tables import as_csv
from pipeline.errors import UserError
from pipeline.files import cannot_write, write_bytes, write_json
from pipeline.progress import console
from pipeline.runs import environment

FILE = "comparison.json"


class Record:
    """``comparison.json`` and ``comparison.csv`` of the folder ``output``, for one process alone.

    The lock is inherited by the trainings, so that one which outlives its comparison is not
    disturbed by the next.

    Args:
        output: made if it does not exist.
        settings: of the comparison; "bundles" holds those of each bundle by its name.

    Raises:
        UserError: ``output`` holds a comparison with other settings, is used by another process, or
            cannot be written.
    """

    def __init__(self, output: Path, settings: dict[str, Any]) -> None:
        self.output = output
        self.settings = json.loads(json.dumps(settings))
        self.lock: TextIO | None = None

    def __enter__(self) -> "Record":
        """Take the folder, and refuse settings that are not those of what is there."""
        with cannot_write(self.output):
            self.output.mkdir(parents=True, exist_ok=True)
            self.lock = (self.output / ".lock").open("w")
            os.set_inheritable(self.lock.fileno(), True)
        try:
            self._take(self.lock)
            self._check()
        except BaseException:
            self.lock.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let others have the folder."""
        if self.lock is not None:
            self.lock.close()

    def write(self, comparison: Comparison) -> None:
        """Write all that is known, each file whole or not at all."""
        write_json(self.output / FILE, {"settings": self.settings} | comparison.to_json())
        write_bytes(self.output / "comparison.csv", as_csv(comparison).encode())
        for name, result in comparison.bundles.items():
            result.evaluation.write_csv(self.output / name / "scores.csv")

    def _take(self, lock: TextIO) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"another comparison, or a training of one, is at work in {self.output}: wait "
                "until it has ended"
            ) from error
        except OSError as error:
            text = f"{self.output} cannot be locked ({error.strerror}): run one comparison there"
            console.print(text, markup=False, soft_wrap=True)

    def _known(self, file: Path) -> dict[str, Any]:
        try:
            known: dict[str, Any] = json.loads(file.read_text())
            lacking = self.settings.keys() - known["settings"].keys()
            if not lacking and isinstance(known["settings"]["bundles"], dict):
                return known
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        raise UserError(f"{file} is damaged or of something else: choose another output")

    def _check(self) -> None:
        file = self.output / FILE
        known: dict[str, Any] = {}
        if file.is_file():
            known = self._known(file)
            there = known["settings"]
            for key in self.settings:
                if key != "bundles" and there[key] != self.settings[key]:
                    raise UserError(
                        f"{self.output} holds a comparison with another {key}: choose another "
                        "output"
                    )
            for name, own in self.settings["bundles"].items():
                if there["bundles"].get(name, own) != own:
                    raise UserError(
                        f"{self.output} holds {name} with other settings: choose another output"
                    )
            self.settings["bundles"] = there["bundles"] | self.settings["bundles"]
        write_json(file, known | {"settings": self.settings})


def versions() -> dict[str, str]:
    """Of Python, of this project, and of what it computes with."""
    return environment() | {"scipy": version("scipy")}
