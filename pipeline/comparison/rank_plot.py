"""Mean ranks as a critical-difference diagram (Demšar, 2006, figure 1), drawn as SVG."""

from collections.abc import Sequence
from typing import Any

from pipeline.comparison.rendering import render
from pipeline.comparison.statistics import Ranking

AXIS_WIDTH = 480  # all lengths are in pixels of the drawing
LETTER, GAP = 8.5, 8  # width of a letter at most, between a line and its text
RULER, AXIS, FIRST_BAR, BAR_STEP, ROW = 16, 58, 14, 11, 24


def rank_plot(ranking: Ranking, title: str) -> str:
    """The diagram as an SVG element that follows the text colour around it.

    The best mean rank is at the left; thick bars join bundles that are not told apart; the ruler
    is as long as the critical difference.

    Args:
        ranking: of two bundles at least; without a critical difference there is no ruler.
        title: name of the metric, for the text alternative.
    """
    names = list(ranking.ranks)
    longest = max(len(f"{name} {rank:.2f}") for name, rank in ranking.ranks.items())
    margin = longest * LETTER + 3 * GAP

    def x(rank: float) -> float:
        return round(margin + (rank - 1) / (len(names) - 1) * AXIS_WIDTH, 1)

    bars = [
        {
            "left": x(ranking.ranks[group[0]]) - 4,
            "right": x(ranking.ranks[group[-1]]) + 4,
            "y": AXIS + FIRST_BAR + i * BAR_STEP,
        }
        for i, group in enumerate(ranking.groups)
    ]
    top = AXIS + FIRST_BAR + len(bars) * BAR_STEP + 10
    places = [x(rank) for rank in ranking.ranks.values()]
    difference = ranking.critical_difference
    return render(
        "rank_plot.svg",
        width=2 * margin + AXIS_WIDTH,
        height=top + (len(names) + 1) // 2 * ROW,
        text=alternative(ranking, title),
        axis=AXIS,
        ticks=[{"x": x(rank), "rank": rank} for rank in range(1, len(names) + 1)],
        ruler=difference
        and {"left": x(1), "right": x(1 + difference), "y": RULER, "label": f"{difference:.2f}"},
        bars=bars,
        legs=_legs(ranking, places, margin, top),
    )


def alternative(ranking: Ranking, title: str) -> str:
    """What the diagram shows, in words."""
    ranks = ", ".join(f"{name} {rank:.2f}" for name, rank in ranking.ranks.items())
    text = f"Mean ranks by {title}, 1 is best: {ranks}."
    if ranking.critical_difference is not None:
        text += f" Critical difference {ranking.critical_difference:.2f}."
        groups = "; ".join(", ".join(group) for group in ranking.groups)
        text += f" Not told apart: {groups or 'none'}."
    return text


def _legs(
    ranking: Ranking, places: Sequence[float], margin: float, top: float
) -> list[dict[str, Any]]:
    """From each rank down and out to its name: the better half to the left, the rest to the right.

    The outermost goes to the highest row, so that no two lines cross.
    """
    half = (len(places) + 1) // 2
    legs: list[dict[str, Any]] = []
    for i, ((name, rank), place) in enumerate(zip(ranking.ranks.items(), places, strict=True)):
        left = i < half
        row = i if left else len(places) - 1 - i
        end = margin - 2 * GAP if left else margin + AXIS_WIDTH + 2 * GAP
        legs.append(
            {
                "x": place,
                "y": top + row * ROW,
                "end": end,
                "text": end - GAP if left else end + GAP,
                "anchor": "end" if left else "start",
                "name": name,
                "rank": f"{rank:.2f}",
            }
        )
    return legs
