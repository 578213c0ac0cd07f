"""Train every bundle on the same folds with the same budget, and score it on the same cases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.comparison.budget import Budget
from pipeline.comparison.fold import Fold
from pipeline.comparison.memory import largest_batch
from pipeline.comparison.processes import Training
from pipeline.comparison.record import Record, versions
from pipeline.comparison.results import BundleResult, Comparison, Measured
from pipeline.comparison.settings import Entry
from pipeline.data.cohorts import Cohort
from pipeline.data.splits import Split
from pipeline.errors import sentence
from pipeline.evaluation import Evaluation
from pipeline.progress import console


@dataclass(frozen=True)
class Plan:
    """What a comparison does.

    Args:
        entries: the bundles and their overrides, by name.
        cohort: labelled cases.
        splits: one a fold.
        budget: of each training.
        training: how one is started.
        device: such as "cpu"; None for a GPU if there is one.
    """

    entries: Mapping[str, Entry]
    cohort: Cohort
    splits: Sequence[Split]
    budget: Budget
    training: Training
    device: str | None = None

    def settings(self) -> dict[str, Any]:
        """What must stay the same for a comparison to go on, as plain values."""
        return {
            "data": str(self.training.data.resolve()),
            "budget": self.budget.text,
            "splits": [[list(split.train), list(split.validation)] for split in self.splits],
            "options": list(self.training.options),
            "bundles": {name: entry.settings for name, entry in self.entries.items()},
        }


def compare(plan: Plan, output: Path) -> Comparison:
    """Train and score every bundle of ``plan``; one that fails does not stop the others.

    What ``output`` holds of the same comparison is not made again. After each bundle
    ``comparison.json`` and ``comparison.csv`` hold all that is known.

    Args:
        plan: what is to be done.
        output: folder of the comparison.

    Raises:
        UserError: ``output`` holds a comparison with other settings, or another process compares
            there.
    """
    with Record(output, plan.settings()) as record:
        results: dict[str, BundleResult] = {}
        failures: dict[str, str] = {}
        for name, entry in plan.entries.items():
            try:
                results[name] = _result(plan, entry, output)
            except Exception as error:
                failures[name] = sentence(error) or f"{type(error).__name__}: {error}"
                console.print(f"{name}: {failures[name]}", markup=False, soft_wrap=True)
            found = Comparison(results, plan.budget.text, len(plan.splits), versions(), failures)
            record.write(found)
    return found


def _result(plan: Plan, entry: Entry, output: Path) -> BundleResult:
    name = entry.bundle.name
    files = [output / f"folds/fold{index}.json" for index in range(len(plan.splits))]
    for split, file in zip(plan.splits, files, strict=True):
        split.write(file)
    budget = plan.budget.overrides(entry.config["listeners"])
    if plan.budget.gib:
        folder = output / name
        size = largest_batch(entry, plan.budget, plan.training, files[0], folder)
        budget["batch_size"] = size
    scored = []
    for index, (split, file) in enumerate(zip(plan.splits, files, strict=True)):
        fold = Fold(plan.cohort, split, file, output / name / f"fold{index}", plan.device)
        console.print(f"{name}: fold {index + 1} of {len(files)}", soft_wrap=True)
        scored.append(fold.scored(entry, budget, plan.training))
    result = _over_folds(scored)
    for failure in result.evaluation.failures:
        line = f"{name}: {failure.case}: {failure.sentence}"
        console.print(line, markup=False, soft_wrap=True)
    dice = np.mean([row.dice for row in result.evaluation.rows]) if result.evaluation.rows else 0
    console.print(
        f"{name}: {result.iterations} iterations in {result.train_seconds:.0f} s, "
        f"mean Dice {dice:.3f}",
        soft_wrap=True,
    )
    return result


def _over_folds(scored: Sequence[tuple[Measured, Evaluation]]) -> BundleResult:
    measured = [one for one, _ in scored]
    first = scored[0][1]
    return BundleResult(
        parameters=measured[0].parameters,
        multiply_adds=measured[0].multiply_adds,
        patch_size=measured[0].patch_size,
        iterations=round(np.mean([one.iterations for one in measured])),
        train_seconds=float(np.mean([one.train_seconds for one in measured])),
        seconds_per_case=float(np.mean([one.seconds_per_case for one in measured])),
        peak_gib=max(one.peak_gib for one in measured),
        evaluation=Evaluation(
            tuple(row for _, one in scored for row in one.rows),
            tuple(failure for _, one in scored for failure in one.failures),
            first.empty_rule,
            first.tolerance_mm,
        ),
    )
