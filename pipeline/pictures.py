"""Slices of a case with its labels drawn on top."""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = ("#56B4E9", "#E69F00", "#CC79A7", "#F0E442", "#009E73", "#D55E00", "#0072B2")
"""Okabe and Ito's colours, which colour-blind readers can tell apart."""

PLANES = (("axial", 2, "RA"), ("coronal", 1, "RS"), ("sagittal", 0, "AS"))
"""Each plane, the array axis across it, and the patient's sides at its left and upper edge."""

WIDTH, DPI = 12.0, 100  # inches, pixels per inch
TITLE, HEADER, LEGEND, GAP = 0.4, 0.35, 0.35, 0.06  # inches

Volume = NDArray[Any]


def three_planes(
    image: Volume,
    reference: Volume | None,
    prediction: Volume,
    spacing: Sequence[float],
    path: Path | BinaryIO,
    title: str | None = None,
    names: Mapping[int, str] | None = None,
) -> None:
    """Write a PNG: axial, coronal and sagittal rows; image, reference and prediction columns.

    Each plane is the one with most of the reference (of the prediction, where the reference is
    missing or empty, else of the image), seen as radiologists do: the patient's right at the left.

    Args:
        image: (H, W, D) in RAS orientation, any intensity scale.
        reference: (H, W, D) integer labels, or None for a picture of two columns.
        prediction: (H, W, D) integer labels.
        spacing: millimetres per voxel.
        path: of the PNG, 1200 pixels wide, or a file open for writing.
        title: above the picture.
        names: of the labels to draw, by value; without it all are drawn, named by their values.
    """
    labels = {"prediction": prediction}
    if reference is not None:
        labels = {"reference": reference, "prediction": prediction}
    names = names or names_of_values(labels.values())
    colours = {value: PALETTE[i % len(PALETTE)] for i, value in enumerate(names)}

    extent = np.multiply(image.shape, spacing)
    figure, grid = black_figure(extent, 1 + len(labels), len(names), TITLE if title else 0)
    draw_planes(grid, image, labels, spacing, colours)
    write_legend(figure, {names[value]: colour for value, colour in colours.items()})
    if title:
        middle = 1 - TITLE / 2 / figure.get_figheight()
        figure.suptitle(title, color="white", fontsize=16, y=middle, va="center")
    figure.savefig(path, format="png", dpi=DPI)


def names_of_values(labels: Iterable[Volume]) -> dict[int, str]:
    """A name for each value but 0 in any of ``labels``."""
    values = {int(value) for volume in labels for value in np.unique(volume)}
    return {value: f"label {value}" for value in sorted(values - {0})}


def draw_planes(
    grid: NDArray[Any],
    image: Volume,
    labels: Mapping[str, Volume],
    spacing: Sequence[float],
    colours: Mapping[int, str],
) -> None:
    """Fill the axes: a row for each plane, the image alone and then under each of ``labels``."""
    low, high = intensity_window(image)
    guide = next((volume for volume in labels.values() if volume.any()), image)
    for row, (name, axis, sides) in zip(grid, PLANES, strict=True):
        across, up = (step for i, step in enumerate(spacing) if i != axis)
        index = largest_section(guide, axis)
        plane = section(image, axis, index)
        for axes in row:
            axes.imshow(plane, "gray", aspect=up / across, vmin=low, vmax=high, origin="lower")
        for axes, volume in zip(row[1:], labels.values(), strict=True):
            draw_labels(axes, section(volume, axis, index), colours)
        write_sides(row[0], name, sides)
    for axes, column in zip(grid[0], ("image", *labels), strict=True):
        axes.set_title(column, color="white", fontsize=14)


def intensity_window(image: Volume) -> tuple[float, float]:
    """From black to white: all but the extreme half percents of what is not background."""
    inside = image[image != 0]
    low, high = np.percentile(inside, (0.5, 99.5)) if inside.size else (0, 1)
    return min(0.0, float(low)), float(high)


def largest_section(volume: Volume, axis: int) -> int:
    """The index along ``axis`` with most voxels other than 0; the middle where there are none."""
    across = tuple(i for i in range(3) if i != axis)
    counts = np.count_nonzero(volume, axis=across)
    return int(counts.argmax()) if counts.any() else len(counts) // 2


def section(volume: Volume, axis: int, index: int) -> Volume:
    """Rows from below, columns from the patient's right (axial, coronal) or front (sagittal)."""
    return volume.take(index, axis)[::-1].T


def black_figure(
    extent: NDArray[np.float64], num_columns: int, num_names: int, title: float
) -> tuple["Figure", NDArray[Any]]:
    """A figure and its (3, columns) axes, all at one scale, for a volume of ``extent`` in mm.

    The ``title`` is given as its height in inches.
    """
    from matplotlib.figure import Figure

    left_right, back_front, height = extent
    cell = (WIDTH - GAP * (num_columns + 1)) / num_columns
    rows = np.array([back_front, height, height]) * cell / max(left_right, back_front)
    top = title + HEADER
    bottom = LEGEND * ceil(num_names / 6) + GAP
    total = top + rows.sum() + 2 * GAP + bottom
    figure = Figure(figsize=(WIDTH, total), dpi=DPI, facecolor="black")
    grid = figure.subplots(
        3,
        num_columns,
        squeeze=False,
        gridspec_kw={
            "height_ratios": rows,
            "left": GAP / WIDTH,
            "right": 1 - GAP / WIDTH,
            "top": 1 - top / total,
            "bottom": bottom / total,
            "wspace": GAP / cell,
            "hspace": GAP / rows.mean(),
        },
    )
    for axes in grid.flat:
        axes.set_axis_off()
    return figure, grid


def draw_labels(axes: "Axes", plane: Volume, colours: Mapping[int, str]) -> None:
    """Tint what each label covers and outline it."""
    from matplotlib.colors import to_rgba

    tint = np.zeros((*plane.shape, 4))
    for value, colour in colours.items():
        mask = plane == value
        tint[mask] = to_rgba(colour, alpha=0.35)
        if mask.any() and not mask.all() and min(mask.shape) > 1:  # a line has no outline
            axes.contour(mask, levels=[0.5], colors=[colour], linewidths=1.5)
    axes.imshow(tint, origin="lower", aspect=axes.get_aspect(), interpolation="nearest")


def write_sides(axes: "Axes", plane: str, sides: str) -> None:
    """Name the plane and the patient's sides at the left and upper edge."""
    for x, y, text, align in (
        (0.01, 0.99, plane, ("left", "top")),
        (0.01, 0.5, sides[0], ("left", "center")),
        (0.5, 0.99, sides[1], ("center", "top")),
    ):
        axes.text(
            x, y, text, ha=align[0], va=align[1], transform=axes.transAxes, color="white", size=12
        )


def write_legend(figure: "Figure", colours: Mapping[str, str]) -> None:
    """Name the colours at the bottom."""
    from matplotlib.patches import Patch

    handles = [Patch(color=colour, label=name) for name, colour in colours.items()]
    figure.legend(
        handles=handles,
        loc="lower center",
        ncols=6,
        frameon=False,
        labelcolor="white",
        fontsize=14,
    )
