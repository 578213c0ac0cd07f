"""The scores of a cohort as rows, a summary, CSV, JSON and a table for the terminal."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.errors import UserError
from pipeline.evaluation.spread import Spread as Spread
from pipeline.files import write_bytes, write_json

if TYPE_CHECKING:
    from rich.console import Group


class Row(NamedTuple):
    """The scores of one region of one case, and a line of the CSV file.

    ``METRICS`` and ``docs/metrics.md`` say what the fields mean; NaN where one is not defined.
    """

    case: str
    region: str
    dice: float
    iou: float
    hd95_mm: float
    hd_mm: float
    assd_mm: float
    nsd: float
    sensitivity: float
    precision: float
    volume_ml: float
    reference_ml: float
    volume_error_ml: float
    lesion_dice: float
    lesion_hd95_mm: float
    lesions_found: int
    lesions_missed: int
    lesions_false: int

    @property
    def is_empty(self) -> bool:
        """Whether the prediction or the reference has no voxel."""
        return self.volume_ml == 0 or self.reference_ml == 0


class Metric(NamedTuple):
    """What a field of ``Row`` is called.

    Args:
        title: for the head of a column.
        unit: of the numbers; empty for fractions and counts.
        higher_is_better: None where neither is.
    """

    title: str
    unit: str
    higher_is_better: bool | None


METRICS: Mapping[str, Metric] = {
    "dice": Metric("Dice", "", True),
    "iou": Metric("IoU", "", True),
    "hd95_mm": Metric("HD95", "mm", False),
    "hd_mm": Metric("HD", "mm", False),
    "assd_mm": Metric("ASSD", "mm", False),
    "nsd": Metric("NSD", "", True),
    "sensitivity": Metric("sensitivity", "", True),
    "precision": Metric("precision", "", True),
    "volume_ml": Metric("volume", "ml", None),
    "reference_ml": Metric("reference volume", "ml", None),
    "volume_error_ml": Metric("volume error", "ml", None),
    "lesion_dice": Metric("lesion Dice", "", True),
    "lesion_hd95_mm": Metric("lesion HD95", "mm", False),
    "lesions_found": Metric("lesions found", "", True),
    "lesions_missed": Metric("lesions missed", "", False),
    "lesions_false": Metric("false lesions", "", False),
}
"""What the numbers of a row are, in the order of its fields."""


class Failure(NamedTuple):
    """A case without scores, and the sentence that says why and what to do."""

    case: str
    sentence: str


@dataclass(frozen=True)
class Evaluation:
    """The scores of a cohort.

    Args:
        rows: one a case and region, in the order of the cases' names.
        failures: the cases that have no scores.
        empty_rule: name of the rule by which empty regions were scored.
        tolerance_mm: how far apart surfaces may lie and still agree, for the normalised surface
            Dice.
    """

    rows: tuple[Row, ...]
    failures: tuple[Failure, ...]
    empty_rule: str = "brats"
    tolerance_mm: float = 1.0

    @property
    def skipped(self) -> tuple[Row, ...]:
        """The rows that the rule ``skip`` keeps out of the summary."""
        return tuple(row for row in self.rows if self._skips(row))

    @property
    def summary(self) -> dict[str, dict[str, Spread]]:
        """Region, then field of ``METRICS``: its spread; empty where no case has scores."""
        regions = dict.fromkeys(row.region for row in self.rows)
        return {region: self._summary_of(region) for region in regions}

    @classmethod
    def read(cls, path: Path) -> "Evaluation":
        """What ``write`` wrote as JSON.

        Raises:
            UserError: the file cannot be read, or does not hold an evaluation.
        """
        try:
            content = json.loads(path.read_text())
            rows = tuple(_row(row) for row in content["rows"])
            failures = tuple(Failure(**failure) for failure in content["failures"])
            return cls(rows, failures, content["empty_rule"], content["tolerance_mm"])
        except OSError as error:
            raise UserError(
                f"cannot read {path} ({error.strerror}): name scores in JSON"
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path} does not hold scores: write it with evaluate") from error

    def write_csv(self, path: Path) -> None:
        """Write a header and one line a case and region, the whole file or none.

        Raises:
            UserError: the file cannot be written.
        """
        _write_csv(path, Row._fields, self.rows)

    def write(self, path: Path) -> None:
        """Write ``path`` as JSON if it ends in ``.json``, else as CSV; the whole file or none.

        Beside ``<name>.csv`` stands the summary, ``<name>_summary.csv``: one line a region and
        metric.

        Raises:
            UserError: the file cannot be written.
        """
        if path.suffix == ".json":
            write_json(path, self.to_json())
        else:
            self.write_csv(path)
            lines = [
                (region, metric, *spread)
                for region, metrics in self.summary.items()
                for metric, spread in metrics.items()
            ]
            header = ("region", "metric", *Spread._fields)
            _write_csv(path.with_name(f"{path.stem}_summary.csv"), header, lines)

    def to_json(self) -> dict[str, Any]:
        """Rows, summary, failures, rules and versions, as plain values; None for NaN."""
        return {
            "rows": [_plain(row._asdict()) for row in self.rows],
            "summary": {
                region: {metric: _plain(spread._asdict()) for metric, spread in metrics.items()}
                for region, metrics in self.summary.items()
            },
            "failures": [failure._asdict() for failure in self.failures],
            "empty_rule": self.empty_rule,
            "rows_skipped": len(self.skipped),
            "tolerance_mm": self.tolerance_mm,
            "versions": {name: _version(name) for name in ("unet-bundles", "numpy", "scipy")},
        }

    def to_table(self) -> "Group":
        """Scores of each case, the summary, and the rules, for a terminal of 100 columns."""
        from pipeline.evaluation.printed import printed

        return printed(self)

    def _skips(self, row: Row) -> bool:
        return self.empty_rule == "skip" and row.is_empty

    def _summary_of(self, region: str) -> dict[str, Spread]:
        rows = [row for row in self.rows if row.region == region and not self._skips(row)]
        return {metric: Spread.of([getattr(row, metric) for row in rows]) for metric in METRICS}


def _write_csv(path: Path, header: Sequence[str], lines: Iterable[Sequence[Any]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(lines)
    write_bytes(path, text.getvalue().encode())


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """None for NaN, which JSON does not have."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in values.items()
    }


def _row(values: Mapping[str, Any]) -> Row:
    """The row of a JSON object; NaN for None."""
    fields: list[Any] = [values[name] for name in Row._fields]
    numbers: list[Any] = [math.nan if field is None else field for field in fields]
    return Row(*numbers)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:  # a bundle that travels alone carries the code, not its metadata
        return "not installed"
