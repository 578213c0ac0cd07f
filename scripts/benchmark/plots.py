"""Time and memory over what is varied, on logarithmic axes."""

from pathlib import Path

from benchmark.growth import Row
from matplotlib.figure import Figure

AXES = {"volume": "side of the volume", "window": "side of the window", "classes": "classes"}
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7")
"""Okabe and Ito's, which colour-blind readers tell apart."""


def draw(rows: list[Row], quantity: str, unit: str, path: Path) -> None:
    """Write a PNG with a panel for each of ``AXES``.

    Args:
        rows: what was measured; what was stopped or failed is not drawn.
        quantity: "time" or "memory".
        unit: of the values.
        path: of the file.
    """
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    names = list(dict.fromkeys(name for _, name, _ in rows))
    panels = figure.subplots(1, len(AXES), sharey=True)
    for panel, (axis, label) in zip(panels, AXES.items(), strict=True):
        for name, colour in zip(names, COLOURS, strict=False):
            points = sorted(
                (setting.value, cost.wall_s if unit == "s" else cost.peak_bytes / 1e9)
                for setting, contender, cost in rows
                if setting.axis == axis and contender == name and cost.status == 0
            )
            if points:
                panel.plot(*zip(*points, strict=True), "o-", color=colour, label=name)
        panel.set(xlabel=label, xscale="log", yscale="log")
        ticks = sorted({setting.value for setting, _, _ in rows if setting.axis == axis})
        panel.set_xticks(ticks, map(str, ticks), minor=False)
        panel.minorticks_off()
        panel.grid(alpha=0.3)
    figure.axes[0].set_ylabel(f"{quantity}, {unit}")
    figure.axes[0].legend(fontsize="small")
    figure.savefig(path, dpi=100)
