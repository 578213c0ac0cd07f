"""A comparison as CSV and as tables for a terminal."""

import csv
import io
from typing import TYPE_CHECKING

import numpy as np

from pipeline.comparison.results import BundleResult, Comparison
from pipeline.evaluation import Evaluation
from pipeline.evaluation.spread import Spread
from pipeline.evaluation.tables import METRICS

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

ALL = "mean of regions"
"""In place of a region: the mean over the regions of a case."""

PRINTED = ("dice", "hd95_mm")
"""Metrics that the terminal has room for; the files have all."""


def spreads(evaluation: Evaluation) -> dict[str, dict[str, Spread]]:
    """The spread over cases by region and metric; with several regions, of their mean too."""
    found = dict(evaluation.summary)
    if len(found) > 1:
        left_out = set(evaluation.skipped)
        rows = [row for row in evaluation.rows if row not in left_out]
        found[ALL] = {}
        for metric in METRICS:
            values: dict[str, list[float]] = {}
            for row in rows:
                values.setdefault(row.case, []).append(getattr(row, metric))
            found[ALL][metric] = Spread.of([_mean(one) for one in values.values()])
    return found


def as_csv(comparison: Comparison) -> str:
    """One line a bundle and region: costs, and each metric with its 95 % bootstrap interval."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    heads = [f"{metric}{end}" for metric in METRICS for end in ("", "_low", "_high")]
    first = True
    for name, result in comparison.bundles.items():
        costs = result.costs() | {"patch_size": "x".join(map(str, result.patch_size))}
        if first:
            writer.writerow(["bundle", "region", "cases", *costs, *heads])
            first = False
        for region, metrics in spreads(result.evaluation).items():
            numbers = [
                number
                for metric in METRICS
                for number in (metrics[metric].mean, metrics[metric].low, metrics[metric].high)
            ]
            cases = metrics["dice"].num_cases
            writer.writerow([name, region, cases, *costs.values(), *numbers])
    return text.getvalue()


def to_tables(comparison: Comparison) -> "Group":
    """Costs of each bundle, then its scores with 95 % bootstrap intervals, best Dice first."""
    from rich.console import Group

    results = dict(sorted(comparison.bundles.items(), key=lambda item: -_dice(item[1])))
    return Group(_costs(results), _scores(results))


def _costs(results: dict[str, BundleResult]) -> "Table":
    from rich.table import Table

    table = Table()
    table.add_column("bundle")
    heads = ("params", "mult-adds", "a voxel", "steps", "train (s)", "s/case")
    for head in (*heads, "GiB"):
        table.add_column(head, justify="right")
    for name, one in results.items():
        table.add_row(
            name,
            f"{one.parameters / 1e6:.2f} M",
            f"{one.multiply_adds / 1e9:.2f} G",
            f"{one.multiply_adds_per_voxel / 1e3:.1f} k",
            str(one.iterations),
            f"{one.train_seconds:.0f}",
            f"{one.seconds_per_case:.2f}",
            f"{one.peak_gib:.2f}",
        )
    return table


def _scores(results: dict[str, BundleResult]) -> "Table":
    from rich.table import Table

    table = Table(caption="mean over cases [95 % bootstrap interval]")
    table.add_column("bundle")
    table.add_column("region")
    for metric in PRINTED:
        title, unit, _ = METRICS[metric]
        table.add_column(f"{title} ({unit})" if unit else title, justify="right")
    for name, result in results.items():
        for index, (region, metrics) in enumerate(spreads(result.evaluation).items()):
            cells = [_interval(metrics[metric], METRICS[metric].unit) for metric in PRINTED]
            table.add_row("" if index else name, region, *cells)
        table.add_section()
    return table


def _interval(spread: Spread, unit: str) -> str:
    digits = 2 if unit else 3
    return f"{spread.mean:.{digits}f} [{spread.low:.{digits}f}, {spread.high:.{digits}f}]"


def _dice(result: BundleResult) -> float:
    found = spreads(result.evaluation)
    mean = found[ALL if ALL in found else next(iter(found))]["dice"].mean if found else 0.0
    return 0.0 if np.isnan(mean) else mean


def _mean(values: list[float]) -> float:
    """The mean of the values that are not NaN; NaN where all are."""
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")
