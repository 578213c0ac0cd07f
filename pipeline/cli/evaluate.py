"""unet-bundles evaluate."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.cli.common import Common, Convention, read_as
from pipeline.errors import UserError


@dataclass(kw_only=True)
class Evaluate(Common):
    """Score predictions against references: overlap, distances (mm), volumes (ml) and lesions."""

    predictions: Path
    """Folder of the predictions, <case>.nii.gz."""
    references: Path
    """Folder of the cases with labels, or of label files <case>.nii.gz."""
    output: Path | None = None
    """File for the scores: .csv, with means and deviations in <name>_summary.csv, or .json."""
    layout: str | None = None
    """How the references lie, such as bids, or pattern:{case}_{modality}.nii.gz; recognised if not
    given."""
    labels: Convention | None = None
    """Convention of the references' values; that of their layout or of the values if not given."""
    prediction_labels: Convention | None = None
    """Convention of the predictions' values; what segment wrote beside them if not given, else that
    of the references."""
    bundle: str | None = None
    """Whose task this is; what segment wrote beside the predictions if not given."""
    tolerance: float = 1.0
    """How many mm apart surfaces may lie and still agree, for the normalised surface Dice."""
    empty: Literal["brats", "nan", "skip"] = "brats"
    """Rule for empty regions: brats gives 1 and 0 mm, or 0 and 373.13 mm; nan leaves undefined
    scores out of the means; skip leaves such rows out of every mean."""
    json: bool = False
    """Print the scores as JSON."""

    def run(self) -> int:
        """Score every reference, print and write the table."""
        from pipeline.data.cohorts import find_labels
        from pipeline.data.conventions import told_by_values
        from pipeline.evaluation import evaluate, recorded_task
        from pipeline.files import check_writable
        from pipeline.progress import console, over_cases

        if self.output is not None:
            if self.output.suffix not in (".csv", ".json"):
                raise UserError(f"cannot tell the format of {self.output}: end it in .csv or .json")
            check_writable(self.output.parent)
        if not self.predictions.is_dir():
            raise UserError(f"no folder {self.predictions}: name the one that holds predictions")
        task, predicted = recorded_task(self.predictions, self.bundle)
        labels, found = find_labels(self.references, self.layout)
        convention = self.labels or ("classes" if task.classes else found)
        if convention is None:
            convention = told_by_values(labels.values(), task, self.references, each_its_own=True)
            console.print(f"labels follow {convention}, told by their values")
        conventions = read_as(self.prediction_labels, predicted, convention), convention
        with over_cases("evaluate", len(labels)) as on_case:
            scores = evaluate(
                *(self.predictions, labels.items(), task, *conventions),
                empty_rule=self.empty,
                tolerance_mm=self.tolerance,
                on_case=on_case,
            )
        if self.output is not None:
            scores.write(self.output)
        for failure in scores.failures:
            print(f"failed: {failure.case}: {failure.sentence}", file=sys.stderr)
        if self.json:
            print(json.dumps(scores.to_json(), indent=2))
        else:
            from rich.console import Console

            Console().print(scores.to_table())
        return 1 if scores.failures else 0
