"""Distributions as SVG that stands in a page: a strip of points, quartiles and the mean."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

import numpy as np
from markupsafe import Markup

from pipeline.evaluation.tables import Metric, Spread

WIDTH, ROW, LEFT, RIGHT, TOP, BOTTOM = 380, 44, 64, 14, 8, 26  # pixels
GOLDEN = 0.618034
"""Multiples of it spread points evenly across a strip, the same each time."""

Points = Sequence[tuple[str, float]]


def distribution(
    metric: Metric,
    points: Mapping[str, Points],
    spreads: Mapping[str, Spread],
    colours: Mapping[str, str],
) -> Markup:
    """One metric: a strip a region, a point a case, named when pointed at.

    Args:
        metric: what is drawn.
        points: region, then case and value; those that are NaN are left out.
        spreads: of each region.
        colours: of each region.
    """
    finite = {
        region: [(case, value) for case, value in values if math.isfinite(value)]
        for region, values in points.items()
    }
    low, high, ticks = _axis([value for of in finite.values() for _, value in of], metric)
    height = TOP + ROW * len(finite) + BOTTOM

    def x(value: float) -> float:
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    parts = [_axis_lines(ticks, x, height)]
    for i, (region, values) in enumerate(finite.items()):
        middle = TOP + ROW * (i + 0.5)
        parts.append(
            f'<text class="name" x="{LEFT - 10}" y="{middle + 4:.1f}">{escape(region)}</text>'
        )
        if values:
            box = tuple(x(value) for value in _box(spreads[region]))
            parts.append(
                _strip(box, middle, [(case, x(v), v) for case, v in values], colours[region])
            )
    return Markup(
        f'<svg class="strip" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(_in_words(metric, finite, spreads))}">{"".join(parts)}</svg>'
    )


def number(value: float | None, unit: str = "") -> str:
    """A number as a table shows it: three decimals for fractions, two for the rest.

    Examples:
        >>> number(0.8), number(12.345, "mm"), number(3), number(float("nan"))
        ('0.800', '12.35', '3', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if isinstance(value, int):
        return str(value)
    return f"{value:.2f}" if unit else f"{value:.3f}"


def _box(spread: Spread) -> tuple[float, ...]:
    return spread.q1, spread.median, spread.q3, spread.mean, spread.low, spread.high


def _strip(
    box: tuple[float, ...], middle: float, dots: Sequence[tuple[str, float, float]], colour: str
) -> str:
    q1, median, q3, mean, low, high = box
    parts = [
        f'<rect class="box" x="{q1:.1f}" y="{middle - 13:.1f}" '
        f'width="{max(q3 - q1, 1):.1f}" height="26" rx="3"/>'
    ]
    for i, (case, x, value) in enumerate(dots):
        y = middle + (i * GOLDEN % 1 - 0.5) * 20
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}">'
            f"<title>{escape(case)}: {value:.4g}</title></circle>"
        )
    parts.append(
        f'<path class="median" d="M{median:.1f} {middle - 13:.1f}v26"/>'
        f'<path class="mean" d="M{low:.1f} {middle + 17:.1f}H{high:.1f}'
        f'M{mean:.1f} {middle + 14:.1f}v6"/>'
    )
    return "".join(parts)


def _axis(values: Sequence[float], metric: Metric) -> tuple[float, float, list[float]]:
    """Ends and ticks of an axis; a fraction's is [0, 1]."""
    low, high = min([0.0, *values]), max([0.0, *values])
    if not metric.unit and high <= 1 and not all(isinstance(value, int) for value in values):
        high = 1.0
    rough = (high - low or 1.0) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [float(tick) for tick in np.arange(first, max(last, first + 1) + 1) * step]
    return ticks[0], ticks[-1], ticks


def _axis_lines(ticks: Sequence[float], x: Callable[[float], float], height: int) -> str:
    return "".join(
        f'<path class="grid" d="M{x(tick):.1f} {TOP}V{height - BOTTOM}"/>'
        f'<text class="tick" x="{x(tick):.1f}" y="{height - 8}">{tick:g}</text>'
        for tick in ticks
    )


def _in_words(metric: Metric, points: Mapping[str, Points], spreads: Mapping[str, Spread]) -> str:
    unit = f" {metric.unit}" if metric.unit else ""
    told = [
        f"{region}: median {spreads[region].median:.4g}{unit}, quartiles "
        f"{spreads[region].q1:.4g} to {spreads[region].q3:.4g}{unit}, {len(values)} cases"
        if values
        else f"{region}: no value"
        for region, values in points.items()
    ]
    return f"{metric.title}. {'. '.join(told)}."
