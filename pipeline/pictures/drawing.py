"""The parts that pictures are drawn of: a section, its labels, sides, scale and legend."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline import __version__
from pipeline.pictures.scenes import Scene, Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, DPI = 12.0, 100  # inches, pixels per inch
TITLE, HEADER, LEGEND, GAP = 0.45, 0.35, 0.4, 0.06  # inches
BARS = (1, 2, 5, 10, 20, 50, 100, 200)
"""Lengths of a scale bar, mm."""

Grid = NDArray[Any]


def black_figure(
    heights: Grid, num_columns: int, top: float, bottom: float
) -> tuple["Figure", Grid]:
    """A figure and its axes (rows, columns).

    All sizes are in inches.

    Args:
        heights: of the rows.
        num_columns: of equal width.
        top: what is left free above the rows.
        bottom: and below.
    """
    from matplotlib.figure import Figure

    total = top + heights.sum() + GAP * (len(heights) - 1) + bottom
    figure = Figure(figsize=(WIDTH, total), dpi=DPI, facecolor="black")
    grid: Grid = figure.subplots(
        len(heights),
        num_columns,
        squeeze=False,
        gridspec_kw={
            "height_ratios": heights,
            "left": GAP / WIDTH,
            "right": 1 - GAP / WIDTH,
            "top": 1 - top / total,
            "bottom": bottom / total,
            "wspace": GAP / cell_width(num_columns),
            "hspace": GAP / heights.mean(),
        },
    )
    for axes in grid.flat:
        axes.set_axis_off()
    return figure, grid


def cell_width(num_columns: int) -> float:
    """Inches of one of ``num_columns``."""
    return (WIDTH - GAP * (num_columns + 1)) / num_columns


def section(volume: Volume, axis: int, index: int) -> Volume:
    """Rows from below, columns from the patient's right (axial, coronal) or front (sagittal)."""
    return volume.take(index, axis)[::-1].T


def draw_image(
    axes: "Axes", scene: Scene, axis: int, index: int, window: tuple[float, float]
) -> None:
    """Draw a section in grey, true in millimetres."""
    across, up = (step for i, step in enumerate(scene.steps) if i != axis)
    axes.imshow(
        section(scene.image, axis, index),
        "gray",
        aspect=up / across,
        vmin=window[0],
        vmax=window[1],
        origin="lower",
        interpolation="bilinear",
    )


def draw_labels(
    axes: "Axes", plane: Volume, colours: Mapping[int, str], tint: float = 0.35, line: float = 1.5
) -> None:
    """Tint what each label covers and outline it.

    Args:
        axes: that show an image.
        plane: the labels' section.
        colours: by value.
        tint: opacity; 0 for none.
        line: points; 0 for none.
    """
    from matplotlib.colors import to_rgba

    tints = np.zeros((*plane.shape, 4))
    for value, colour in colours.items():
        mask = plane == value
        tints[mask] = to_rgba(colour, alpha=tint)
        # A line has no outline, and neither has what fills the section.
        if line and mask.any() and not mask.all() and min(mask.shape) > 1:
            axes.contour(mask, levels=[0.5], colors=[colour], linewidths=line)
    if tint:
        axes.imshow(tints, origin="lower", aspect=axes.get_aspect(), interpolation="nearest")


def write_at(axes: "Axes", x: float, y: float, text: str, size: int = 12) -> None:
    """Write on an image, at a place in [0, 1] that the text is aligned to."""
    from matplotlib.patheffects import withStroke

    across = "left" if x < 1 / 3 else "right" if x > 2 / 3 else "center"
    up = "bottom" if y < 1 / 3 else "top" if y > 2 / 3 else "center"
    written = axes.text(
        x, y, text, ha=across, va=up, transform=axes.transAxes, color="white", size=size
    )
    written.set_parse_math(False)
    written.set_path_effects([withStroke(linewidth=2, foreground="black")])


def write_sides(axes: "Axes", sides: str, size: int = 12) -> None:
    """Name the patient's sides: at the left, the right and the upper edge."""
    for (x, y), side in zip(((0.01, 0.5), (0.99, 0.5), (0.5, 0.99)), sides, strict=True):
        write_at(axes, x, y, side, size)


def scale_of(millimetres: float) -> int:
    """The longest of ``BARS`` that takes at most a third of ``millimetres``, else the shortest."""
    return max((bar for bar in BARS if bar <= millimetres / 3), default=BARS[0])


def draw_scale(axes: "Axes", width: float, length: int, size: int = 12) -> None:
    """Draw a bar of ``length`` mm on an image that is ``width`` mm wide."""
    x, y = 0.03, 0.03
    for colour, thickness in (("black", 4), ("white", 2)):
        axes.plot(
            [x, x + length / width],
            [y, y],
            color=colour,
            linewidth=thickness,
            solid_capstyle="butt",
            transform=axes.transAxes,
        )
    write_at(axes, x, y + 0.015, f"{length} mm", size)


def write_legend(figure: "Figure", scene: Scene, note: str = "") -> None:
    """Name the colours at the bottom, and what else is to be known."""
    from matplotlib.patches import Patch

    handles = [
        Patch(color=colour, label=scene.names[value]) for value, colour in scene.colours.items()
    ]
    if note:
        handles.append(Patch(fill=False, linewidth=0, label=note))
    legend = figure.legend(
        handles=handles,
        loc="lower center",
        ncols=6,
        frameon=False,
        labelcolor="white",
        fontsize=13,
        handlelength=1.2,
        borderaxespad=0.2,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def save(figure: "Figure", path: Path | BinaryIO, title: str | None) -> None:
    """Write a PNG, with its ``title`` on top; it says nothing else of where it comes from."""
    if title:
        middle = 1 - TITLE / 2 / figure.get_figheight()
        figure.suptitle(title, color="white", fontsize=15, y=middle, va="center", parse_math=False)
    metadata = {"Software": f"unet-bundles {__version__}", "Title": title or ""}
    figure.savefig(path, format="png", dpi=DPI, metadata=metadata)
