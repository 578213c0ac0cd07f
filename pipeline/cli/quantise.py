"""unet-bundles quantise."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from pipeline.cli.common import Common, Convention
from pipeline.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.inference.quantising import Quantised


@dataclass(kw_only=True)
class Quantise(Common):
    """Make a bundle's network quicker on a CPU by 8-bit convolutions, if it segments as well."""

    bundle: Positional[str]
    """Folder of a run, or name of a bundle with weights."""
    data: Path
    """Folder of cases with labels: every fourth calibrates, the others are scored."""
    calibration: int = 8
    """Windows that set the ranges of the 8-bit numbers, at most."""
    weights: Path | None = None
    """Safetensors file; the bundle's own if not given."""
    domain: str | None = None
    """Of a bundle with several domains, the one of these cases; what its config says if not
    given."""
    layout: str | None = None
    """How the cases lie, such as bids, or pattern:{case}_{modality}.nii.gz; recognised if not
    given."""
    labels: Convention | None = None
    """Convention of the labels' values; that of their layout or of the values if not given."""
    json: bool = False
    """Print the outcome as JSON."""

    def run(self) -> int:
        """Quantise, print Dice before and after, and say what was kept.

        Raises:
            UserError: too much Dice is lost.
        """
        from pipeline.bundles import find_bundle
        from pipeline.data.cohorts import find_cohort, tell
        from pipeline.data.conventions import told_by_values
        from pipeline.progress import console, over_cases

        bundle = find_bundle(self.bundle, self.domain)
        cohort = find_cohort(self.data, bundle.task, self.layout)
        cases = [case for case in cohort.cases if case.label is not None]
        if not cases:
            raise UserError(f"no case with a label under {self.data}: Dice needs labels")
        convention = self.labels or cohort.convention
        if convention is None:
            files = [case.label for case in cases if case.label is not None]
            convention = told_by_values(files, bundle.task, self.data)
        tell(cohort)
        unlabelled = {case.name: "no label" for case in cohort.cases if case.label is None}
        for name, text in {**cohort.refused, **unlabelled}.items():
            print(f"left out: {name}: {text}", file=sys.stderr)
        self.quieten()
        from pipeline.inference.quantising import quantise, shares

        _, scored = shares(cases)
        if len(scored) == len(cases):
            console.print(f"too few cases to keep some apart: all {len(cases)} are scored")
        with over_cases("segment", 2 * len(scored)) as on_case:
            told = quantise(
                *(bundle, cases, convention, self.weights, self.calibration, self.threads),
                on_case=on_case,
            )
        self.tell(told)
        if told.reason:
            raise UserError(f"{bundle.name}: {told.reason}")
        return 0

    def tell(self, told: "Quantised") -> None:
        """Print the outcome."""
        if self.json:
            print(json.dumps(told.to_json(), indent=2))
            return
        from rich.console import Console

        Console().print(_table(told))
        print(
            f"mean over {len(told.scored)} cases; calibrated on {told.windows} windows of "
            f"{len(told.calibrated)} cases"
        )
        if not told.reason:
            print("kept: segment with --backend openvino-int8")


def _table(told: "Quantised") -> "Table":
    from rich.table import Table

    before, after = told.before.seconds, told.after.seconds
    table = Table()
    table.add_column("")
    for title in ("32 bits", "8 bits", "change"):
        table.add_column(title, justify="right")
    for target, (one, other) in told.dice.items():
        table.add_row(f"Dice {target}", f"{one:.4f}", f"{other:.4f}", f"{other - one:+.4f}")
    table.add_row(
        "seconds a window",
        f"{before:.3f}",
        f"{after:.3f}",
        f"/ {before / after:.2f}" if after else "",
    )
    return table
