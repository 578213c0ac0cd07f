"""What a picture shows of a case: image, labels, their colours, and where the lesion is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from nibabel.orientations import apply_orientation, io_orientation
from numpy.typing import NDArray
from scipy import ndimage

from pipeline import grids

PALETTE = ("#56B4E9", "#E69F00", "#CC79A7", "#F0E442", "#009E73", "#D55E00", "#0072B2")
"""Okabe and Ito's colours, which colour-blind readers can tell apart."""

MARGIN = 6  # voxels around what is not background

Volume = NDArray[Any]


@dataclass(frozen=True)
class Scene:
    """A case in RAS orientation, without empty surroundings.

    Args:
        image: (H, W, D), any intensity scale.
        labels: "reference" (where there is one) and "prediction", (H, W, D) of whole numbers.
        spacing: millimetres per voxel; None of a 2D image, which has neither these nor sides.
        names: of the values that are drawn.
        floor: how many slices were cut off below.
    """

    image: Volume
    labels: Mapping[str, Volume]
    spacing: Sequence[float] | None
    names: Mapping[int, str]
    floor: int = 0

    @classmethod
    def of(
        cls,
        image: Volume,
        reference: Volume | None,
        prediction: Volume,
        spacing: Sequence[float] | None,
        names: Mapping[int, str] | None,
    ) -> "Scene":
        """A scene; without ``names`` all values but 0 are drawn, named by themselves."""
        given = {"reference": reference, "prediction": prediction}
        labels = {title: volume for title, volume in given.items() if volume is not None}
        names = names or _names_of_values(labels.values())
        if spacing is None:
            return cls(image, labels, None, names)
        box = filled_box((image, *labels.values()), MARGIN)
        cut = {title: volume[box] for title, volume in labels.items()}
        return cls(image[box], cut, spacing, names, box[2].start)

    @property
    def steps(self) -> Sequence[float]:
        """Millimetres, or else pixels, from one voxel to the next."""
        return self.spacing or (1.0, 1.0, 1.0)

    @property
    def colours(self) -> dict[int, str]:
        """Of the values that are drawn."""
        return {value: PALETTE[i % len(PALETTE)] for i, value in enumerate(self.names)}

    @property
    def window(self) -> tuple[float, float]:
        """What is black and white."""
        return intensity_window(self.image)

    def lesion_sections(self) -> tuple[int, int, int]:
        """The index along each axis where the largest lesion covers most.

        That of the reference, so that pictures of several predictions show the same; where it has
        none, of the prediction; where that has none, the middle.
        """
        for volume in self.labels.values():
            if volume.any():
                x, y, z = map(int, _largest_sections(volume))
                return x, y, z
        x, y, z = (size // 2 for size in self.image.shape)
        return x, y, z


def canonical(
    volumes: Iterable[Volume], affine: NDArray[np.float64]
) -> tuple[list[Volume], list[float]]:
    """``volumes`` (H, W, D) turned so that their axes run most nearly as RAS, and their spacing."""
    turn = io_orientation(affine)
    steps = np.empty(3)
    steps[turn[:, 0].astype(int)] = grids.spacing(affine)
    return [apply_orientation(volume, turn) for volume in volumes], steps.tolist()


def _names_of_values(labels: Iterable[Volume]) -> dict[int, str]:
    values = {int(value) for volume in labels for value in np.unique(volume)}
    return {value: f"label {value}" for value in sorted(values - {0})}


def filled_box(volumes: Iterable[Volume], margin: int) -> tuple[slice, slice, slice]:
    """Where any of ``volumes`` (H, W, D) is not 0, and ``margin`` voxels; all if none has any."""
    shown = np.logical_or.reduce([volume != 0 for volume in volumes])
    found = ndimage.find_objects(shown.astype(np.uint8))
    edges = found[0] if found else tuple(slice(0, size) for size in shown.shape)
    x, y, z = (
        slice(max(0, edge.start - margin), min(size, edge.stop + margin))
        for edge, size in zip(edges, shown.shape, strict=True)
    )
    return x, y, z


def _largest_sections(labels: Volume) -> Iterable[int]:
    """Along each axis, where the largest connected piece (26 neighbours) covers most voxels."""
    pieces, _ = ndimage.label(labels != 0, np.ones((3, 3, 3)))
    largest = pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()
    for axis in range(3):
        across = tuple(other for other in range(3) if other != axis)
        yield np.count_nonzero(largest, axis=across).argmax()


def intensity_window(image: Volume) -> tuple[float, float]:
    """From black to white: all but the extreme half percents of what is not 0, 0 included."""
    inside = image[np.isfinite(image) & (image != 0)]
    low, high = np.percentile(inside, (0.5, 99.5)) if inside.size else (0, 1)
    return min(0.0, float(low)), float(high)
