"""A training in a process of its own, whose memory and failure are its own too."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.bundles import last_checkpoint
from pipeline.comparison.settings import Entry
from pipeline.errors import UserError

SAID = "unet-bundles: "
"""What begins the line in which the command tells an error."""


@dataclass(frozen=True)
class Training:
    """What all trainings of a comparison share.

    Args:
        data: folder of the cases.
        options: of ``unet-bundles train``, such as ``--threads 2``.
    """

    data: Path
    options: tuple[str, ...] = ()

    def run(
        self, entry: Entry, budget: dict[str, Any], split: Path, output: Path, log: Path
    ) -> float:
        """Train ``entry`` until its budget is spent; a run that was cut goes on.

        Args:
            entry: bundle and overrides.
            budget: overrides that end the training.
            split: JSON file of the fold.
            output: folder of the run.
            log: file for what the training says; it is appended to.

        Returns:
            Peak memory of the process in GiB.

        Raises:
            UserError: the training failed.
        """
        command = [sys.executable, "-m", "pipeline", "train", str(entry.bundle.root)]
        command += ["--data", str(self.data), "--output", str(output), "--split", str(split)]
        command += self.options
        (output / "models/model.safetensors").unlink(missing_ok=True)  # of an interruption
        if last_checkpoint(output) is not None:
            command.append("--resume")
        command += ["--set", *as_arguments(entry.overrides | budget)]
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as stream:
            before = log.stat().st_size
            status, peak = _ended(command, stream)
        if status != 0:
            raise UserError(_reason(status, log, before))
        return peak


def as_arguments(overrides: Mapping[str, Any]) -> Sequence[str]:
    """``key=value`` items, as ``pipeline.arguments.parse_overrides`` reads them."""
    return [
        f"{key}={yaml.safe_dump([value], default_flow_style=True, width=10**9).strip()[1:-1]}"
        for key, value in overrides.items()
    ]


def _ended(command: Sequence[str], log: Any) -> tuple[int, float]:
    """Exit status (minus the signal, where one ended it) and peak memory in GiB."""
    process = subprocess.Popen(
        command,
        stdout=log,
        stderr=log,
        stdin=subprocess.DEVNULL,
        close_fds=False,  # it takes over the lock of the comparison
    )
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        process.kill()
        process.wait()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 2**30 if sys.platform == "darwin" else 2**20
    return process.returncode, usage.ru_maxrss / unit


def _reason(status: int, log: Path, before: int) -> str:
    """Why a training failed, by what it added to ``log``, which had ``before`` bytes."""
    if status == -9:
        return f"the training was killed, as happens where memory runs out; it wrote {log}"
    added = log.read_bytes()[before:].decode(errors="replace")
    said = [line for line in added.splitlines() if line.startswith(SAID)]
    told = said[-1].removeprefix(SAID) if said else f"the training ended with status {status}"
    return f"{told}; the training wrote {log}"
