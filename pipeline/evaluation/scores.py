"""Dice and 95 % Hausdorff distance of one predicted region against its reference."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]


class Scores(NamedTuple):
    """How well a predicted region matches its reference.

    Args:
        dice: in [0, 1]; 1 is a perfect match.
        hd95_mm: 95 % Hausdorff distance in mm; 0 is a perfect match.
    """

    dice: float
    hd95_mm: float


class EmptyRule(NamedTuple):
    """The scores of a case where a region is empty and neither number is defined.

    Args:
        name: what tables and JSON call the rule.
        both_empty: scores where prediction and reference agree that there is nothing.
        one_empty: scores where exactly one of them is empty.
    """

    name: str
    both_empty: Scores
    one_empty: Scores

    def __str__(self) -> str:
        both, one = self.both_empty, self.one_empty
        return (
            f"{self.name} rule for empty regions: "
            f"both empty, Dice {both.dice:g} and HD95 {both.hd95_mm:g} mm; "
            f"exactly one empty, Dice {one.dice:g} and HD95 {one.hd95_mm:g} mm"
        )


BRATS = EmptyRule("brats", both_empty=Scores(1.0, 0.0), one_empty=Scores(0.0, 373.13))
"""The convention of the BraTS challenges; 373.13 mm is the diagonal of their 240x240x155 images."""


def score_case(
    prediction: NDArray[Any], reference: NDArray[Any], spacing: Sequence[float]
) -> Scores:
    """Dice and HD95 of one region; ``BRATS`` decides where a region is empty.

    HD95 is the larger of the two directed 95th percentiles of the distances between surface
    voxels, those that binary erosion removes: ``directed=False, percentile=95`` of MONAI's
    ``compute_hausdorff_distance``.

    Args:
        prediction: true or non-zero inside the predicted region.
        reference: true or non-zero inside the reference region.
        spacing: mm per voxel, in the order of the array's axes.

    Shape:
        prediction (*S), reference (*S)

    Raises:
        ValueError: prediction and reference differ in shape.
    """
    if prediction.shape != reference.shape:
        raise ValueError(
            f"prediction {prediction.shape} and reference {reference.shape} differ in shape: "
            "score arrays of one grid"
        )
    predicted, true = prediction.astype(bool, copy=False), reference.astype(bool, copy=False)
    present = predicted.any(), true.any()
    if not any(present):
        return BRATS.both_empty
    if not all(present):
        return BRATS.one_empty
    box = _bounding_box(predicted | true)
    predicted, true = predicted[box], true[box]
    return Scores(_dice(predicted, true), _hd95_mm(predicted, true, spacing))


def _bounding_box(mask: Mask) -> tuple[slice, ...]:
    """The box of a mask that is not empty, with one voxel of margin inside the image."""
    tight = ndimage.find_objects(mask.astype(np.int8))[0]
    return tuple(slice(max(axis.start - 1, 0), axis.stop + 1) for axis in tight)


def _dice(predicted: Mask, true: Mask) -> float:
    common = np.count_nonzero(predicted & true)
    return float(2 * common / (np.count_nonzero(predicted) + np.count_nonzero(true)))


def _hd95_mm(predicted: Mask, true: Mask, spacing: Sequence[float]) -> float:
    predicted, true = _surface(predicted), _surface(true)
    there = ndimage.distance_transform_edt(~true, sampling=spacing)[predicted]
    back = ndimage.distance_transform_edt(~predicted, sampling=spacing)[true]
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))


def _surface(mask: Mask) -> Mask:
    """Voxels with a face neighbour outside the region; outside the image is outside the region."""
    return mask & ~ndimage.binary_erosion(mask)
