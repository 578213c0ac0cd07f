"""An evaluation as text for a terminal of 100 columns."""

from rich.console import Group
from rich.table import Column, Table
from rich.text import Text

from pipeline.evaluation.rules import find_rule
from pipeline.evaluation.spread import RESAMPLES
from pipeline.evaluation.tables import METRICS, Evaluation

SHOWN = ("dice", "hd95_mm", "nsd", "lesion_dice")
"""The metrics that fit; the files hold all of them."""


def printed(evaluation: Evaluation) -> Group:
    """Scores of each case, how they spread in each region, the rules, and who has no scores."""
    return Group(_cases(evaluation), _summary(evaluation), *_notes(evaluation))


def _cases(evaluation: Evaluation) -> Table:
    table = Table(Column("case", overflow="fold"), Column("region", overflow="fold"))
    for metric in SHOWN:
        table.add_column(_head(metric), justify="right")
    table.add_column("lesions found/ missed/ false", justify="right")
    for row in evaluation.rows:
        counts = f"{row.lesions_found}/{row.lesions_missed}/{row.lesions_false}"
        numbers = (_text(metric, getattr(row, metric)) for metric in SHOWN)
        table.add_row(Text(row.case), Text(row.region), *numbers, counts)
    return table


def _summary(evaluation: Evaluation) -> Table:
    table = Table(Column("region", overflow="fold"), "metric")
    for head in ("cases", "mean ± std", "95 % interval", "median [quartiles]"):
        table.add_column(head, justify="right")
    for region, spreads in evaluation.summary.items():
        for metric in SHOWN:
            spread = spreads[metric]
            mean, std, median, q1, q3, low, high = (_text(metric, value) for value in spread[1:])
            cells = (f"{mean} ± {std}", f"{low} to {high}", f"{median} [{q1}, {q3}]")
            table.add_row(Text(region), _head(metric), str(spread.num_cases), *cells)
        table.add_section()
    return table


def _notes(evaluation: Evaluation) -> list[Text]:
    num_skipped = len(evaluation.skipped)
    skipped = f" ({num_skipped} of {len(evaluation.rows)} left out)" if num_skipped else ""
    notes = [
        f"{find_rule(evaluation.empty_rule)}{skipped}",
        f"NSD at a tolerance of {evaluation.tolerance_mm:g} mm; intervals of the mean from "
        f"{RESAMPLES} bootstrap resamples",
    ]
    if evaluation.failures:
        cases = ", ".join(failure.case for failure in evaluation.failures)
        notes.append(f"without scores: {cases}")
    return [Text(note) for note in notes]


def _head(metric: str) -> str:
    title, unit, _ = METRICS[metric]
    return f"{title} ({unit})" if unit else title


def _text(metric: str, value: float) -> str:
    return f"{value:.2f}" if METRICS[metric].unit else f"{value:.3f}"
