"""Three planes through the largest lesion."""

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import BinaryIO

import numpy as np

from pipeline.pictures import drawing
from pipeline.pictures.scenes import Scene, Volume

PLANES = (("axial", 2, "RLA"), ("coronal", 1, "RLS"), ("sagittal", 0, "APS"))
"""Each plane, the array axis across it, and the patient's sides: left, right and upper edge."""


def three_planes(
    image: Volume,
    reference: Volume | None,
    prediction: Volume,
    spacing: Sequence[float] | None,
    path: Path | BinaryIO,
    title: str | None = None,
    names: Mapping[int, str] | None = None,
) -> None:
    """Write a PNG: axial, coronal and sagittal rows; image, reference and prediction columns.

    The planes go through the largest lesion of the reference (of the prediction, where the
    reference is missing or empty, else through the middle), seen as radiologists do: the patient's
    right at the left. All are at one scale, true in millimetres.

    Args:
        image: (H, W, D) in RAS orientation, any intensity scale.
        reference: (H, W, D) integer labels, or None for a picture of two columns.
        prediction: (H, W, D) integer labels.
        spacing: millimetres per voxel, or None of a 2D image, which has no sides either.
        path: of the PNG, 1200 pixels wide, or a file open for writing.
        title: above the picture.
        names: of the labels to draw, by value; without it all are drawn, named by their values.
    """
    scene = Scene.of(image, reference, prediction, spacing, names)
    planes = [plane for plane in PLANES if spacing is not None or plane[1] == 2]
    x, y, z = np.multiply(scene.image.shape, scene.steps)
    extents = [{2: (x, y), 1: (x, z), 0: (y, z)}[axis] for _, axis, _ in planes]
    widest = max(width for width, _ in extents)

    num_columns = 1 + len(scene.labels)
    heights = np.array([height for _, height in extents]) * drawing.cell_width(num_columns) / widest
    top = drawing.HEADER + (drawing.TITLE if title else 0)
    bottom = drawing.LEGEND * ceil(len(scene.names) / 6) + drawing.GAP
    figure, grid = drawing.black_figure(heights, num_columns, top, bottom)
    _fill(grid, scene, [axis for _, axis, _ in planes])
    if spacing is not None:
        for axes, (name, _, sides), (width, _) in zip(grid[:, 0], planes, extents, strict=True):
            drawing.write_at(axes, 0.01, 0.99, name)
            drawing.write_sides(axes, sides)
            drawing.draw_scale(axes, width, drawing.scale_of(widest))
    drawing.write_legend(figure, scene)
    drawing.save(figure, path, title)


def _fill(grid: drawing.Grid, scene: Scene, axes_across: Sequence[int]) -> None:
    """Draw a row for each plane, the image alone and then under each of the labels."""
    sections = scene.lesion_sections()
    window, colours = scene.window, scene.colours
    for row, across in zip(grid, axes_across, strict=True):
        for axes in row:
            drawing.draw_image(axes, scene, across, sections[across], window)
        for axes, volume in zip(row[1:], scene.labels.values(), strict=True):
            drawing.draw_labels(axes, drawing.section(volume, across, sections[across]), colours)
    for axes, column in zip(grid[0], ("image", *scene.labels), strict=True):
        axes.set_title(column, color="white", fontsize=14)
