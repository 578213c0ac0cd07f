"""The largest batch that fits into a budget of memory."""

import json
import shutil
from pathlib import Path

from pipeline.comparison.budget import Budget
from pipeline.comparison.processes import Training
from pipeline.comparison.settings import Entry
from pipeline.errors import UserError
from pipeline.files import write_json
from pipeline.progress import console
from pipeline.training.budget import SPENT


def largest_batch(
    entry: Entry, budget: Budget, training: Training, split: Path, folder: Path
) -> int:
    """The largest power of two, up to the number of training cases, that stays within ``budget``.

    Iterations are tried with 1, 2, 4 and so on, each size in a process of its own, up to the second
    full batch, which holds the optimiser's moments too. What was found is kept in ``memory.json``.

    Args:
        entry: whose ``batch_size`` is looked for.
        budget: of memory.
        training: how it is started.
        split: JSON file of the first fold.
        folder: for what is tried.

    Raises:
        UserError: not even one case fits.
    """
    found = folder / "memory.json"
    if found.is_file():
        size: int = json.loads(found.read_text())["batch_size"]
        return size
    peaks: dict[int, float] = {}
    size, cases = 1, len(json.loads(split.read_text())["train"])
    while size <= cases:
        iterations = 2 if 2 * size <= cases else 3  # of which the second has fewer cases
        peak = _peak(entry, size, iterations, training, split, folder)
        if peak is None or peak > (budget.gib or 0):
            break
        peaks[size] = peak
        size *= 2
    if not peaks:
        raise UserError(f"a batch of one takes more than {budget.text}: allow more, or narrow it")
    write_json(found, {"batch_size": max(peaks), "peak_gib": peaks})
    return max(peaks)


def _peak(
    entry: Entry, size: int, iterations: int, training: Training, split: Path, folder: Path
) -> float | None:
    """Peak memory in GiB; None where memory ran out."""
    run = folder / "memory"
    shutil.rmtree(run, ignore_errors=True)
    budget = Budget("", iterations=iterations)
    probe = budget.overrides(entry.config["listeners"]) | {"batch_size": size}
    try:
        peak = training.run(entry, probe, split, run, folder / "memory.log")
        spent = json.loads((run / SPENT).read_text())
        peak = spent["gpu_gib"] or spent["peak_gib"] or peak
    except UserError:
        if size == 1:
            raise
        return None
    finally:
        shutil.rmtree(run, ignore_errors=True)
    console.print(f"{entry.bundle.name}: {peak:.2f} GiB in batches of {size}", soft_wrap=True)
    return peak
