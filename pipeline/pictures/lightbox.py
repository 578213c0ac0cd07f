"""Axial slices from the lowest to the highest."""

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pipeline.pictures import drawing
from pipeline.pictures.scenes import Scene, Volume

COLUMNS, SLICES = 5, 20


def lightbox(
    image: Volume,
    reference: Volume | None,
    prediction: Volume,
    spacing: Sequence[float] | None,
    path: Path | BinaryIO,
    title: str | None = None,
    names: Mapping[int, str] | None = None,
) -> None:
    """Write a PNG of at most 20 evenly spaced axial slices, the lowest first.

    The prediction is filled, the reference a line of the same colour; without a reference the
    prediction has both. Slices are numbered from 1 at the patient's feet.

    Args:
        image: (H, W, D) in RAS orientation, any intensity scale.
        reference: (H, W, D) integer labels, or None.
        prediction: (H, W, D) integer labels.
        spacing: millimetres per voxel, or None of a 2D image, which has no sides either.
        path: of the PNG, 1200 pixels wide, or a file open for writing.
        title: above the picture.
        names: of the labels to draw, by value; without it all are drawn, named by their values.
    """
    scene = Scene.of(image, reference, prediction, spacing, names)
    width, height, _ = np.multiply(scene.image.shape, scene.steps)
    slices = _evenly(scene.image.shape[2])
    num_columns = min(COLUMNS, len(slices))
    heights = np.full(
        ceil(len(slices) / num_columns), drawing.cell_width(num_columns) * height / width
    )
    top = drawing.TITLE if title else drawing.GAP
    bottom = drawing.LEGEND * ceil((len(scene.names) + 1) / 6) + drawing.GAP
    figure, grid = drawing.black_figure(heights, num_columns, top, bottom)

    _fill(grid, scene, slices)
    if spacing is not None:
        drawing.write_sides(grid[0, 0], "RLA", size=10)
        drawing.draw_scale(grid[0, 0], float(width), drawing.scale_of(width), size=10)
    note = "" if reference is None else "filled: prediction, line: reference"
    drawing.write_legend(figure, scene, note)
    drawing.save(figure, path, title)


def _fill(grid: drawing.Grid, scene: Scene, slices: Sequence[int]) -> None:
    """Draw each slice with its labels and, where there are millimetres, its number."""
    window, colours = scene.window, scene.colours
    outlined = scene.labels.get("reference", scene.labels["prediction"])
    for axes, index in zip(grid.flat, slices, strict=False):
        drawing.draw_image(axes, scene, 2, index, window)
        filled = drawing.section(scene.labels["prediction"], 2, index)
        drawing.draw_labels(axes, filled, colours, tint=0.4, line=0)
        lined = drawing.section(outlined, 2, index)
        drawing.draw_labels(axes, lined, colours, tint=0, line=1.2)
        if scene.spacing is not None:
            drawing.write_at(axes, 0.99, 0.01, str(1 + index + scene.floor), size=10)


def _evenly(count: int) -> list[int]:
    """At most ``SLICES`` indices in the middles of equal parts of ``count``."""
    number = min(SLICES, count)
    return [int(count * (2 * part + 1) / (2 * number)) for part in range(number)]
