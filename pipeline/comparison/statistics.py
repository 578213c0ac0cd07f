"""What the scores of several bundles on the same cases allow one to say: ranks and tests."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from pipeline.comparison.paired_tests import (
    DECIMALS,
    Friedman,
    Values,
    critical_difference,
    friedman,
    groups_within,
    holm,
    mean_ranks,
    wilcoxon,
)
from pipeline.evaluation.spread import Spread
from pipeline.evaluation.tables import METRICS

ALPHA = 0.05
"""The chance of a false claim that is accepted, for each metric and set of regions."""

FEWEST_CASES = 2

Scores = Mapping[str, Mapping[tuple[str, str], float]]
"""By bundle, then by (case, region)."""


@dataclass(frozen=True)
class Pair:
    """One bundle against another on the same cases.

    Args:
        first: the bundle with the better mean rank.
        second: the other one.
        difference: mean of the first minus mean of the second, in units of the metric.
        better: in how many cases the first is better.
        worse: in how many the second is; the rest are ties.
        p: of Wilcoxon's signed-rank test, two-sided.
        p_holm: the same after Holm's correction over all pairs of the ranking.
    """

    first: str
    second: str
    difference: float
    better: int
    worse: int
    p: float
    p_holm: float

    @property
    def differs(self) -> bool:
        """Whether the difference is significant after the correction."""
        return self.p_holm < ALPHA


@dataclass(frozen=True)
class Ranking:
    """All bundles by one metric, over one set of regions.

    Args:
        num_cases: with a number from every bundle; a case's number is its mean over regions.
        dropped: pairs of case and region that some bundles have a number for and others not.
        missing: of these, how many each bundle lacks; only those that lack any.
        absent: the bundles that lack a number for more than half of what others have one for;
            they are not ranked, so that they do not empty the comparison of the others.
        spreads: mean over the cases and its interval by bundle, best mean rank first.
        ranks: mean rank by bundle in the same order; 1 is best.
        friedman: whether the bundles differ at all; None for fewer than three bundles.
        critical_difference: of two mean ranks by Nemenyi's test; None as above.
        groups: the bundles that the mean ranks do not tell apart; all where Friedman's test does
            not say that any differ.
        pairs: every pair of bundles once; empty for fewer than two cases.
    """

    num_cases: int
    dropped: int
    missing: dict[str, int]
    absent: tuple[str, ...]
    spreads: dict[str, Spread]
    ranks: dict[str, float]
    friedman: Friedman | None
    critical_difference: float | None
    groups: tuple[tuple[str, ...], ...]
    pairs: tuple[Pair, ...]

    def pair(self, one: str, other: str) -> Pair | None:
        """The two bundles' pair in whichever order, or None if they were not tested."""
        return next((p for p in self.pairs if {p.first, p.second} == {one, other}), None)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {
            "spreads": {name: spread._asdict() for name, spread in self.spreads.items()},
            "friedman": self.friedman and self.friedman._asdict(),
        }


@dataclass(frozen=True)
class MetricRankings:
    """The bundles by one metric: over all regions, then region by region."""

    overall: Ranking
    regions: dict[str, Ranking]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        regions = {region: ranking.to_json() for region, ranking in self.regions.items()}
        return {"overall": self.overall.to_json(), "regions": regions}


@dataclass(frozen=True)
class Statistics:
    """The rankings of every metric for which higher or lower is better."""

    metrics: dict[str, MetricRankings]

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the level and the names of the tests."""
        return {
            "alpha": ALPHA,
            "tests": {
                "all": "Friedman, chi-squared, corrected for ties",
                "ranks": "Nemenyi",
                "pairs": "Wilcoxon signed-rank, two-sided, zeros split, Holm over all pairs",
            },
            "metrics": {name: rankings.to_json() for name, rankings in self.metrics.items()},
        }


def compare_metrics(scores: Mapping[str, Scores]) -> Statistics:
    """Rank and test bundles that were scored on the same cases.

    Args:
        scores: ``scores[metric][bundle][case, region]``; NaN or nothing where there is no score.
            Metrics that are neither better high nor low, as volumes, are left out.
    """
    directions = {name: METRICS[name].higher_is_better for name in scores}
    return Statistics(
        {
            name: _compare(scores[name], higher_is_better)
            for name, higher_is_better in directions.items()
            if higher_is_better is not None
        }
    )


def _compare(scores: Scores, higher_is_better: bool) -> MetricRankings:
    finite = {
        bundle: {key: value for key, value in by_key.items() if np.isfinite(value)}
        for bundle, by_key in scores.items()
    }
    regions = dict.fromkeys(region for by_key in finite.values() for _, region in by_key)
    overall = _rank(finite, regions, higher_is_better)
    return MetricRankings(
        overall, {region: _rank(finite, [region], higher_is_better) for region in regions}
    )


def _rank(scores: Scores, regions: Iterable[str], higher_is_better: bool) -> Ranking:
    chosen = set(regions)
    keys = {bundle: {key for key in scores[bundle] if key[1] in chosen} for bundle in scores}
    half = len(set().union(*keys.values())) / 2
    present = [bundle for bundle in scores if keys[bundle] and len(keys[bundle]) >= half]
    some = set().union(*(keys[bundle] for bundle in present))
    common = some.intersection(*(keys[bundle] for bundle in present))
    values = _case_means([scores[bundle] for bundle in present], sorted(common))
    num_cases = len(values)
    ranks = mean_ranks(values, higher_is_better) if num_cases else np.empty(0)
    order = np.argsort(ranks, kind="stable")
    names, values = [present[i] for i in order], values[:, order]
    several = len(names) > 2 and num_cases >= FEWEST_CASES
    omnibus = friedman(values) if several else None
    difference = critical_difference(len(names), num_cases, ALPHA) if several else None
    return Ranking(
        num_cases=num_cases,
        dropped=len(some) - len(common),
        missing={name: len(some - keys[name]) for name in present if some - keys[name]},
        absent=tuple(bundle for bundle in scores if bundle not in present),
        spreads={name: Spread.of(own.tolist()) for name, own in zip(names, values.T, strict=True)},
        ranks=dict(zip(names, ranks[order].tolist(), strict=True)),
        friedman=omnibus,
        critical_difference=difference,
        groups=_groups(names, ranks[order].tolist(), omnibus, difference),
        pairs=_pairs(names, values, higher_is_better) if num_cases >= FEWEST_CASES else (),
    )


def _case_means(
    scores: Sequence[Mapping[tuple[str, str], float]], keys: Sequence[tuple[str, str]]
) -> Values:
    """(N, K): each case's mean over its regions among ``keys``, by column of ``scores``."""
    by_case: dict[str, list[tuple[str, str]]] = {}
    for key in keys:
        by_case.setdefault(key[0], []).append(key)
    means = [
        [np.mean([by_key[key] for key in own]) for by_key in scores] for own in by_case.values()
    ]
    return np.array(means, dtype=np.float64).reshape(len(by_case), len(scores))


def _groups(
    names: Sequence[str],
    ranks: Sequence[float],
    omnibus: Friedman | None,
    difference: float | None,
) -> tuple[tuple[str, ...], ...]:
    if omnibus is None or difference is None:
        return ()
    if omnibus.p >= ALPHA:
        return (tuple(names),)
    return tuple(tuple(names[a : b + 1]) for a, b in groups_within(ranks, difference))


def _pairs(names: Sequence[str], values: Values, higher_is_better: bool) -> tuple[Pair, ...]:
    """Columns of ``values`` against each other; ``names`` from the best rank to the worst."""
    columns = list(combinations(range(len(names)), 2))
    if not columns:
        return ()
    differences = np.stack([values[:, a] - values[:, b] for a, b in columns], axis=1)
    gains = np.round(differences, DECIMALS) * (1 if higher_is_better else -1)
    p_values = wilcoxon(differences)
    pairs = []
    for i, ((a, b), p_holm) in enumerate(zip(columns, holm(p_values), strict=True)):
        pairs.append(
            Pair(
                first=names[a],
                second=names[b],
                difference=float(differences[:, i].mean()),
                better=int((gains[:, i] > 0).sum()),
                worse=int((gains[:, i] < 0).sum()),
                p=float(p_values[i]),
                p_holm=float(p_holm),
            )
        )
    return tuple(pairs)
