"""unet-bundles compare."""

import json
import sys
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import UseAppendAction

from pipeline.arguments import parse_overrides
from pipeline.cli.common import Common, Convention
from pipeline.errors import UserError

if TYPE_CHECKING:
    from pipeline.comparison.compare import Plan


@dataclass(kw_only=True)
class Compare(Common):
    """Train bundles on the same folds with the same budget, and score them on the same cases."""

    data: Path
    """Folder of the cases with labels, in any of the layouts that README.md lists."""
    bundles: str
    """Names of bundles, or their folders, with commas between them."""
    budget: str
    """Of each training: 10min, 90s, 1h, iterations=500 or memory=2GiB."""
    output: Path
    """Folder of the comparison; what it holds of the same comparison is not made again."""
    folds: int | None = None
    """How often each bundle is trained; once, with every fifth case to validate, if not given."""
    split: Path | None = None
    """JSON file {"train": [case, ...], "validation": [case, ...]} in place of folds."""
    settings: Path | None = None
    """YAML file {common: {key: value}, bundles: {name: {key: value}}} of changes of train.yaml."""
    set: UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Changes of every bundle's train.yaml: key=value, nested keys as key::inner=value."""
    layout: str | None = None
    """How the cases lie, such as bids, or pattern:{case}_{modality}.nii.gz; recognised if not
    given."""
    labels: Convention | None = None
    """Convention of the label values; that of the layout or of the values if not given."""
    json: bool = False
    """Print the results as JSON."""

    def run(self) -> int:
        """Check everything, then train, score, and write tables and page."""
        from pipeline.inference.workers import warm_up

        warm_up()
        self.prepare()
        from pipeline.comparison.compare import compare
        from pipeline.comparison.report import report
        from pipeline.comparison.tables import to_tables

        comparison = compare(self.plan(), self.output)
        for name, sentence in comparison.failures.items():
            print(f"failed: {name}: {sentence}", file=sys.stderr)
        if not comparison.bundles:
            raise UserError("no bundle could be trained and scored: there is nothing to compare")
        if self.json:
            print(json.dumps(comparison.to_json(), indent=2))
        else:
            from rich.console import Console

            Console().print(to_tables(comparison))
        page = report(comparison, self.output)
        print(f"the page of the comparison: {page}", file=sys.stderr)
        return 1 if comparison.failures or comparison.failed_cases else 0

    def plan(self) -> "Plan":
        """What is to be done.

        Raises:
            UserError: the budget, a bundle, a setting, the cases or the folds cannot be used.
        """
        from pipeline.comparison.budget import Budget
        from pipeline.comparison.compare import Plan
        from pipeline.comparison.folds import folds
        from pipeline.comparison.processes import Training
        from pipeline.comparison.settings import Settings, entries
        from pipeline.data.loaders import labelled

        budget = Budget.of(self.budget)
        settings = Settings.read(self.settings) if self.settings else Settings()
        given = parse_overrides(chain.from_iterable(self.set))
        taking_part = entries(self.bundles.split(","), settings, given)
        for name, entry in taking_part.items():
            if budget.gib and "batch_size" in entry.overrides:
                raise UserError(
                    f"batch_size of {name} is what a budget of memory decides: leave it out"
                )
        task = next(iter(taking_part.values())).task
        cohort = labelled(str(self.data), asdict(task), self.labels, layout=self.layout)
        return Plan(
            taking_part,
            cohort,
            folds(cohort.subjects, self.folds, self.split),
            budget,
            Training(self.data, self.options()),
            self.device,
        )

    def options(self) -> tuple[str, ...]:
        """What every training is given of this command."""
        names = ("seed", "threads", "workers", "device", "max_gib", "layout", "labels")
        given = {name: getattr(self, name) for name in names}
        pairs = [
            (f"--{name.replace('_', '-')}", str(value))
            for name, value in given.items()
            if value is not None
        ]
        return tuple(chain.from_iterable(pairs))
