"""The scores of a cohort as rows, a summary, CSV, JSON and a table for the terminal."""

import csv
import io
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.evaluation.scores import BRATS
from pipeline.files import write_bytes, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table


class Row(NamedTuple):
    """The scores of one region of one case, and a line of the CSV file."""

    case: str
    region: str
    dice: float
    hd95_mm: float


class Failure(NamedTuple):
    """A case without scores, and the sentence that says why and what to do."""

    case: str
    sentence: str


class Spread(NamedTuple):
    """Mean and sample standard deviation (``ddof=1``; 0 for one case) over cases."""

    mean: float
    std: float

    @classmethod
    def of(cls, values: "Sequence[float]") -> "Spread":
        """The spread of at least one value."""
        return cls(
            float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        )


class RegionSummary(NamedTuple):
    """The scores of one region over the cases that have them."""

    num_cases: int
    dice: Spread
    hd95_mm: Spread


@dataclass(frozen=True)
class Evaluation:
    """The scores of a cohort.

    Args:
        rows: one a case and region, in the order of the cases' names.
        failures: the cases that have no scores.
    """

    rows: tuple[Row, ...]
    failures: tuple[Failure, ...]

    @property
    def summary(self) -> dict[str, RegionSummary]:
        """Mean and standard deviation of each region; empty where no case has scores."""
        regions = dict.fromkeys(row.region for row in self.rows)
        return {region: self._summary_of(region) for region in regions}

    def write_csv(self, path: Path) -> None:
        """Write a header and one line a case and region, the whole file or none.

        Raises:
            UserError: the file cannot be written.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows(self.rows)
        write_bytes(path, text.getvalue().encode())

    def write(self, path: Path) -> None:
        """Write ``path`` as JSON if it ends in ``.json``, else as CSV; the whole file or none.

        Raises:
            UserError: the file cannot be written.
        """
        if path.suffix == ".json":
            write_json(path, self.to_json())
        else:
            self.write_csv(path)

    def to_json(self) -> dict[str, Any]:
        """Rows, summary, failures, the rule for empty regions and versions, as plain values."""
        return {
            "rows": [row._asdict() for row in self.rows],
            "summary": {
                region: {
                    "num_cases": summary.num_cases,
                    "dice": summary.dice._asdict(),
                    "hd95_mm": summary.hd95_mm._asdict(),
                }
                for region, summary in self.summary.items()
            },
            "failures": [failure._asdict() for failure in self.failures],
            "empty_rule": BRATS.name,
            "versions": {name: _version(name) for name in ("unet-bundles", "numpy", "scipy")},
        }

    def to_table(self) -> "Table":
        """Scores of each case, then mean ± standard deviation of each region, for a terminal."""
        from rich.table import Table

        table = Table(caption=str(BRATS))
        table.add_column("case")
        table.add_column("region")
        table.add_column("Dice", justify="right")
        table.add_column("HD95 (mm)", justify="right")
        for row in self.rows:
            table.add_row(row.case, row.region, f"{row.dice:.3f}", f"{row.hd95_mm:.2f}")
        table.add_section()
        for region, (num_cases, dice, hd95) in self.summary.items():
            table.add_row(
                f"mean ± std of {num_cases}",
                region,
                f"{dice.mean:.3f} ± {dice.std:.3f}",
                f"{hd95.mean:.2f} ± {hd95.std:.2f}",
            )
        return table

    def _summary_of(self, region: str) -> RegionSummary:
        rows = [row for row in self.rows if row.region == region]
        return RegionSummary(
            num_cases=len(rows),
            dice=Spread.of([row.dice for row in rows]),
            hd95_mm=Spread.of([row.hd95_mm for row in rows]),
        )


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:  # a bundle that travels alone carries the code, not its metadata
        return "not installed"
