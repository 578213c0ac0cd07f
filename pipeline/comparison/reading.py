"""The numbers of a ranking in sentences that claim no more than the tests do."""

from collections.abc import Iterable

from pipeline.comparison.statistics import ALPHA, FEWEST_CASES, Pair, Ranking

LISTED = 12
"""Pairs that a sentence names at most; a table has all."""


def reading(ranking: Ranking, title: str) -> list[str]:
    """What differs significantly by the metric ``title``, what does not, and what was left out."""
    sentences = _left_out(ranking)
    if not ranking.pairs:
        return [
            *sentences,
            f"Nothing is tested by {title}: it takes two bundles with numbers for the same "
            f"{FEWEST_CASES} cases at least.",
        ]
    return [_all_together(ranking, title), *_pairs(ranking), *_best(ranking), *sentences]


def p_text(p: float) -> str:
    """A p-value as it is read: 0.031, or < 0.001."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _all_together(ranking: Ranking, title: str) -> str:
    if ranking.friedman is None:
        return f"{title}, {ranking.num_cases} cases: two bundles, so no test of all together."
    p = p_text(ranking.friedman.p)
    p = p if p.startswith("<") else f"= {p}"
    told = f"{title}, {ranking.num_cases} cases: Friedman's test"
    if ranking.friedman.p < ALPHA:
        return f"{told} says that the bundles differ (p {p})."
    return f"{told} does not tell the bundles apart (p {p}): their order may be chance."


def _best(ranking: Ranking) -> list[str]:
    best, rank = next(iter(ranking.ranks.items()))
    if sum(other == rank for other in ranking.ranks.values()) > 1:
        return [f"Several share the best mean rank, {rank:.2f}."]
    pairs = [pair for pair in ranking.pairs if best in (pair.first, pair.second)]
    differing = [pair.second for pair in pairs if pair.differs]
    alike = [pair.second for pair in pairs if not pair.differs]
    text = f"{best} has the best mean rank, {rank:.2f} of {len(ranking.ranks)}. It "
    parts = []
    if differing:
        parts.append(f"differs significantly from {_and(differing)}")
    if alike:
        parts.append(f"does not differ significantly from {_and(alike)}")
    return [text + ", and ".join(parts) + "."]


def _pairs(ranking: Ranking) -> list[str]:
    differing = [pair for pair in ranking.pairs if pair.differs]
    alike = [pair for pair in ranking.pairs if not pair.differs]
    count = (
        f"Of {len(ranking.pairs)} pairs, {len(differing)} differ significantly by Wilcoxon's test "
        f"after Holm's correction, {len(alike)} do not."
    )
    if len(ranking.pairs) == 1:
        p = p_text(ranking.pairs[0].p_holm)
        return [f"Wilcoxon's test: p {p if p.startswith('<') else f'= {p}'}."]
    if not differing or not alike:
        return [count]
    fewer, head = (
        (alike, "Not told apart")
        if len(alike) <= len(differing)
        else (differing, "Those that differ")
    )
    return [count, f"{head}: {_listed(fewer)}."] if len(fewer) <= LISTED else [count]


def _left_out(ranking: Ranking) -> list[str]:
    sentences = []
    if ranking.absent:
        sentences.append(f"Without a number in most cases, so not ranked: {_and(ranking.absent)}.")
    if ranking.dropped:
        lacking = _and(f"{name} {count}" for name, count in ranking.missing.items())
        sentences.append(
            f"Left out for all bundles: {ranking.dropped} pairs of case and region for which some "
            f"bundle has no number (lacking: {lacking}). This may favour those that lack them."
        )
    return sentences


def _listed(pairs: Iterable[Pair]) -> str:
    return ", ".join(f"{pair.first} – {pair.second}" for pair in pairs)


def _and(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
