"""The page of a comparison: one HTML file that needs neither network nor script."""

from collections.abc import Iterable
from math import inf
from pathlib import Path
from typing import Any

from pipeline.comparison.rank_plot import rank_plot
from pipeline.comparison.reading import p_text, reading
from pipeline.comparison.rendering import render
from pipeline.comparison.results import Comparison
from pipeline.comparison.statistics import ALPHA, Ranking, Statistics
from pipeline.evaluation.spread import Spread
from pipeline.evaluation.tables import METRICS
from pipeline.files import write_bytes

PAGE = "comparison.html"


def write_page(output: Path, comparison: Comparison, statistics: Statistics) -> Path:
    """Write ``comparison.html`` into the folder ``output``, whole or not at all.

    The first metric of ``statistics`` orders the bundles and opens the page.

    Returns:
        The file's path.

    Raises:
        UserError: the folder cannot be written.
    """
    metrics = [
        _section(name, rankings.overall, rankings.regions)
        for name, rankings in statistics.metrics.items()
    ]
    order = list(metrics[0]["overall"].ranks) if metrics else []
    page = render(
        "comparison.html",
        comparison=comparison,
        results={
            name: comparison.bundles[name] for name in dict.fromkeys([*order, *comparison.bundles])
        },
        metrics=metrics,
        alpha=ALPHA,
        rules=_rules(comparison),
        failed_cases=_failed_cases(comparison),
    )
    path = output / PAGE
    write_bytes(path, page.encode())
    return path


def _section(name: str, overall: Ranking, regions: dict[str, Ranking]) -> dict[str, Any]:
    """What the page says of one metric."""
    metric = METRICS[name]
    several = len(overall.ranks) > 1 and overall.num_cases > 1
    tables = {"all regions": overall} | (regions if len(regions) > 1 else {})
    return {
        "title": metric.title,
        "unit": metric.unit,
        "direction": "higher is better" if metric.higher_is_better else "lower is better",
        "overall": overall,
        "reading": reading(overall, metric.title),
        "plot": rank_plot(overall, metric.title) if several else None,
        "cells": {bundle: _text(spread, metric.unit) for bundle, spread in overall.spreads.items()},
        "best": _best(overall, bool(metric.higher_is_better)),
        "regions": {
            region: {bundle: _text(spread, metric.unit) for bundle, spread in own.spreads.items()}
            for region, own in tables.items()
        },
        "matrix": _matrix(overall, metric.unit),
    }


def _text(spread: Spread, unit: str) -> tuple[str, str]:
    """The mean and its interval."""
    digits = _digits(unit)
    return f"{spread.mean:.{digits}f}", f"{spread.low:.{digits}f} – {spread.high:.{digits}f}"


def _digits(unit: str) -> int:
    """Decimals that are shown: two of millimetres, three of fractions."""
    return 2 if unit else 3


def _best(ranking: Ranking, higher_is_better: bool) -> set[str]:
    """The bundles with the best mean."""
    sign = 1 if higher_is_better else -1
    best = max((sign * spread.mean for spread in ranking.spreads.values()), default=inf)
    return {name for name, spread in ranking.spreads.items() if sign * spread.mean == best}


def _matrix(ranking: Ranking, unit: str) -> list[tuple[str, list[dict[str, Any]]]]:
    """Rows and columns by mean rank: p-values above the diagonal, mean differences below."""
    if not ranking.pairs:
        return []
    names = list(ranking.ranks)
    return [
        (row, [_cell(ranking, i, j, unit) for j in range(len(names))])
        for i, row in enumerate(names)
    ]


def _cell(ranking: Ranking, i: int, j: int, unit: str) -> dict[str, Any]:
    names = list(ranking.ranks)
    pair = ranking.pair(names[i], names[j])
    if i == j or pair is None:
        return {"text": "", "wins": "", "differs": False}
    if i < j:
        return {"text": p_text(pair.p_holm), "wins": "", "differs": pair.differs}
    difference = -pair.difference  # the row is the second of the pair
    text, wins = f"{difference:+.{_digits(unit)}f}", f"{pair.worse} : {pair.better}"
    return {"text": text, "wins": wins, "differs": pair.differs}


def _rules(comparison: Comparison) -> str:
    """How empty regions were scored and surfaces compared, as far as the bundles agree."""
    evaluations = [result.evaluation for result in comparison.bundles.values()]
    rules = [
        f"empty regions by the rule {each.empty_rule}, NSD at {each.tolerance_mm:g} mm"
        for each in evaluations
    ]
    return "; ".join(dict.fromkeys(rules))


def _failed_cases(comparison: Comparison) -> Iterable[tuple[str, str, str]]:
    """Bundle, case and sentence of each case that has no scores."""
    return [
        (name, failure.case, failure.sentence)
        for name, result in comparison.bundles.items()
        for failure in result.evaluation.failures
    ]
