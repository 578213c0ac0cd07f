"""The pages of a report, from templates."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline import __version__
from pipeline.evaluation.report.cases import Shown, colours
from pipeline.evaluation.report.drawing import distribution, number
from pipeline.evaluation.report.folder import MARK
from pipeline.evaluation.report.outliers import RULE
from pipeline.evaluation.report.sources import Sources
from pipeline.evaluation.rules import find_rule
from pipeline.evaluation.spread import Spread
from pipeline.evaluation.tables import METRICS, Evaluation, Metric, Row
from pipeline.evaluation.templates import templates_of

FIRST = ("dice", "hd95_mm", "nsd", "lesion_dice")
"""The metrics that are drawn before a reader asks for all."""

VOLUME = Metric("predicted volume", "ml", None)


class Pages:
    """Write the pages of a report into its folder.

    Args:
        folder: of the report.
        sources: what the report is made of.
        evaluation: the scores, or None where there are no references.
        shown: the cases that have a page.
        notes: what is unusual, by case.
        failures: sentences by case.
    """

    def __init__(
        self,
        folder: Path,
        sources: Sources,
        evaluation: Evaluation | None,
        shown: Sequence[Shown],
        notes: Mapping[str, Sequence[str]],
        failures: Mapping[str, str],
    ) -> None:
        self.folder, self.sources, self.evaluation = folder, sources, evaluation
        self.notes, self.failures = notes, failures
        self.rows: dict[str, list[Row]] = {}
        for row in evaluation.rows if evaluation else ():
            self.rows.setdefault(row.case, []).append(row)
        self.shown = {case.name: case for case in shown}
        self.order = sorted({*self.shown, *self.rows, *failures}, key=self._badness)
        self.templates = templates_of("pipeline.evaluation.report")
        self.templates.filters |= {"link": quote, "number": number, "size": _size}
        self.templates.globals |= {
            "mark": MARK,
            "version": __version__,
            "metrics": METRICS,
            "targets": sources.task.targets,
            "colours": colours(sources.task),
        }

    def write(self) -> None:
        """Write ``index.html`` and a page a case."""
        self._render("index.html", "cohort.html", **self._cohort())
        with_pages = [name for name in self.order if name in self.shown]
        for i, name in enumerate(with_pages):
            around = {
                "before": with_pages[i - 1] if i else None,
                "after": with_pages[i + 1] if i + 1 < len(with_pages) else None,
            }
            self._render(f"cases/{name}.html", "case.html", **self._case(name), **around)

    def _render(self, path: str, template: str, **told: Any) -> None:
        file = self.folder / path
        file.parent.mkdir(exist_ok=True)
        root = "../" * path.count("/")
        text = self.templates.get_template(template).render(root=root, **told)
        file.write_text(text, encoding="utf-8")

    def _cohort(self) -> dict[str, Any]:
        first, more = self._drawings()
        evaluation = self.evaluation
        record = {key: value for key, value in self.sources.record.items() if key != "cases"}
        return {
            "names": self.order,
            "shown": self.shown,
            "rows": self.rows,
            "scored": evaluation is not None,
            "summary": evaluation.summary if evaluation else {},
            "rules": _rules(evaluation),
            "first": first,
            "more": more,
            "notes": self.notes,
            "rule": RULE,
            "failures": self.failures,
            "record": record,
            "mean_dice": {name: _mean_dice(self.rows.get(name, ())) for name in self.order},
        }

    def _case(self, name: str) -> dict[str, Any]:
        case = self.shown[name]
        data = case.viewer | {"files": f"../volumes/{quote(name)}/"}
        return {
            "case": case,
            "data": data,
            "rows": self.rows.get(name, []),
            "rules": _rules(self.evaluation),
            "notes": self.notes.get(name, ()),
            "failure": self.failures.get(name),
            "recorded": self.sources.recorded(name),
            "num_bytes": sum(
                path.stat().st_size for path in (self.folder / "volumes" / name).iterdir()
            ),
        }

    def _drawings(self) -> tuple[list[tuple[Metric, Any]], list[tuple[Metric, Any]]]:
        """The distributions that are seen at once, and the others."""
        own = colours(self.sources.task)
        if self.evaluation is None:
            points = {
                region: [(case.name, case.volumes_ml[region]) for case in self.shown.values()]
                for region in own
            }
            spreads = {
                region: Spread.of([value for _, value in values])
                for region, values in points.items()
            }
            return [(VOLUME, distribution(VOLUME, points, spreads, own))], []
        summary = self.evaluation.summary
        drawn = {}
        for name, metric in METRICS.items():
            values = {region: self._points(region, name) for region in summary}
            spreads = {region: summary[region][name] for region in summary}
            drawn[name] = metric, distribution(metric, values, spreads, own)
        more = [drawn[name] for name in METRICS if name not in FIRST]
        return [drawn[name] for name in FIRST], more

    def _points(self, region: str, metric: str) -> list[tuple[str, float]]:
        evaluation = self.evaluation
        left = set(evaluation.skipped) if evaluation else set()
        return [
            (row.case, getattr(row, metric))
            for rows in self.rows.values()
            for row in rows
            if row.region == region and row not in left
        ]

    def _badness(self, name: str) -> tuple[float, int, str]:
        """Failed first, then by mean Dice; without scores, by how much is unusual."""
        dice = -1.0 if name in self.failures else _mean_dice(self.rows.get(name, ()))
        return (2.0 if math.isnan(dice) else dice, -len(self.notes.get(name, ())), name)


def _mean_dice(rows: Iterable[Row]) -> float:
    values = [row.dice for row in rows if not math.isnan(row.dice)]
    return sum(values) / len(values) if values else math.nan


def _rules(evaluation: Evaluation | None) -> list[str]:
    if evaluation is None:
        return []
    skipped = len(evaluation.skipped)
    sentence = str(find_rule(evaluation.empty_rule))
    told = [
        f"{sentence[:1].upper()}{sentence[1:]}.",
        f"NSD at a tolerance of {evaluation.tolerance_mm:g} mm.",
    ]
    return told + ([f"{skipped} rows left out of the summary."] if skipped else [])


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f} MB"
