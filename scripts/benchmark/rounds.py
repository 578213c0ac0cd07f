"""Contenders in turn, round after round, and what came out."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
from benchmark.contenders import Contender, Forward, forward
from benchmark.processes import Cost, measured
from numpy.typing import NDArray

LIMIT_BYTES = 0.9 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
"""Of what takes part: less than the machine has, so that nothing else ends for it."""


@dataclass
class Results:
    """What the rounds of one contender gave; its label map is that of the last."""

    costs: list[Cost] = field(default_factory=list)
    forwards: list[Forward] = field(default_factory=list)
    labels: NDArray[np.uint8] | None = None

    @property
    def walls(self) -> list[float]:
        """Seconds from start to written file, by round."""
        return [cost.wall_s for cost in self.costs]

    @property
    def forward_s(self) -> list[float]:
        """Seconds of the network alone, by round."""
        return [forward.seconds for forward in self.forwards]


def once(
    contender: Contender,
    cases: Path,
    work: Path,
    limit_bytes: float = float("inf"),
    limit_s: float = float("inf"),
) -> tuple[Cost, Path]:
    """Run a contender; gives what it cost and the folder that it wrote."""
    output = work / "out"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    line = contender.line(cases, output)
    cost = measured(line, work / "log.txt", contender.environment, limit_bytes, limit_s)
    return cost, output


def last_words(work: Path) -> str:
    """The last line that a contender printed."""
    lines = (work / "log.txt").read_text(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "it printed nothing"


def interleaved(
    contenders: Sequence[Contender], cases: Path, work: Path, rounds: int
) -> dict[str, Results]:
    """Every contender once in each of the ``rounds``, in turn."""
    results = {contender.name: Results() for contender in contenders}
    for number in range(rounds):
        for contender in [one for one in contenders if one.name in results]:
            cost, output = once(contender, cases, work, LIMIT_BYTES)
            if cost.status:
                why = f"out of {cost.stopped}" if cost.stopped else last_words(work)
                print(f"{contender.name} is left out: {why}", flush=True)
                del results[contender.name]
                continue
            own = results[contender.name]
            own.costs.append(cost)
            own.forwards.append(forward(output))
            own.labels = labels_in(output)
            print(f"  round {number + 1}: {cost.wall_s:7.2f} s  {contender.name}", flush=True)
    return results


def labels_in(output: Path) -> NDArray[np.uint8]:
    """The label map of the first case."""
    file = min(output.glob("*.nii*"))
    return np.asarray(nib.load(file).dataobj).squeeze().astype(np.uint8)
