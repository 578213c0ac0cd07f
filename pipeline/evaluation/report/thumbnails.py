"""A small PNG of a case: its planes side by side, the prediction tinted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from pipeline.evaluation.report.embedding import Placed
from pipeline.pictures.scenes import intensity_window

HEIGHT = 180
"""Pixels of the largest extent."""

GAP = 6  # pixels


def write_picture(
    path: Path,
    image: Placed,
    labels: Mapping[str, Placed],
    focus: tuple[int, int, int],
    colours: Mapping[int, str],
) -> None:
    """Write axial, coronal and sagittal planes through ``focus``, as radiologists see them.

    The prediction is tinted, and the reference outlined in white. A single slice is one plane.
    """
    spacing = np.linalg.norm(image.affine[:3, :3], axis=0)
    scale = HEIGHT / float((spacing * image.array.shape).max())
    planes = [axis for axis in (2, 1, 0) if min(np.delete(image.array.shape, axis)) > 1]
    low, high = intensity_window(image.array)
    tiles = []
    for axis in planes:
        grey = (_plane(image, focus, axis).astype(np.float32) - low) / max(high - low, 1e-6)
        rgb = np.repeat((np.clip(grey, 0, 1) * 255)[..., None], 3, axis=2)
        predicted = _plane(labels["prediction"], focus, axis)
        for code, colour in colours.items():
            tint = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
            rgb[predicted == code] = 0.5 * rgb[predicted == code] + 0.5 * np.array(tint)
        if "reference" in labels:
            inside = _plane(labels["reference"], focus, axis) > 0
            rgb[inside & ~ndimage.binary_erosion(inside)] = 255
        across, up = np.delete(spacing * scale, axis)
        size = round(rgb.shape[1] * across), round(rgb.shape[0] * up)
        tile = Image.fromarray(rgb.astype(np.uint8))
        tiles.append(tile.resize((max(size[0], 1), max(size[1], 1)), Image.Resampling.BILINEAR))
    _side_by_side(tiles, path)


def _plane(volume: Placed, focus: tuple[int, int, int], axis: int) -> NDArray[Any]:
    """Rows from above, columns from the patient's right (axial, coronal) or front (sagittal)."""
    return volume.array.take(focus[axis], axis)[::-1, ::-1].T


def _side_by_side(tiles: list[Image.Image], path: Path) -> None:
    width = sum(tile.width for tile in tiles) + GAP * (len(tiles) - 1)
    sheet = Image.new("RGB", (width, max(tile.height for tile in tiles)))
    left = 0
    for tile in tiles:
        sheet.paste(tile, (left, (sheet.height - tile.height) // 2))
        left += tile.width + GAP
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)
