"""All scores of one predicted region against its reference."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.distances import Mask, crop, rim_distances, surfels
from pipeline.evaluation.lesions import score_lesions
from pipeline.evaluation.rules import BRATS, EmptyRule, Undefined


class Scores(NamedTuple):
    """How well a predicted region matches its reference; ``docs/metrics.md`` defines each number.

    Args:
        dice: overlap in [0, 1]; 1 is a perfect match.
        iou: intersection over union in [0, 1].
        hd95_mm: 95 % Hausdorff distance in mm; 0 is a perfect match.
        hd_mm: Hausdorff distance in mm.
        assd_mm: average symmetric surface distance in mm.
        nsd: normalised surface Dice in [0, 1].
        sensitivity: fraction of the reference that is predicted.
        precision: fraction of the prediction that is in the reference.
        volume_ml: of the prediction.
        reference_ml: of the reference.
        volume_error_ml: prediction minus reference.
        lesion_dice: mean Dice of the lesions.
        lesion_hd95_mm: mean HD95 of the lesions.
        lesions_found: lesions of the reference that are predicted.
        lesions_missed: lesions of the reference that are not.
        lesions_false: predicted lesions without a counterpart.
    """

    dice: float
    iou: float
    hd95_mm: float
    hd_mm: float
    assd_mm: float
    nsd: float
    sensitivity: float
    precision: float
    volume_ml: float
    reference_ml: float
    volume_error_ml: float
    lesion_dice: float
    lesion_hd95_mm: float
    lesions_found: int
    lesions_missed: int
    lesions_false: int


def score_case(
    prediction: NDArray[Any],
    reference: NDArray[Any],
    spacing: Sequence[float],
    tolerance_mm: float = 1.0,
    empty_rule: EmptyRule = BRATS,
) -> Scores:
    """Score one region.

    Args:
        prediction: true or non-zero inside the predicted region.
        reference: true or non-zero inside the reference region.
        spacing: mm per voxel, in the order of the array's axes.
        tolerance_mm: how far apart surfaces may lie and still agree, for ``nsd``.
        empty_rule: decides what is not defined where a region is empty.

    Shape:
        prediction (*S), reference (*S), in two or three dimensions; three with one axis of one
        voxel are a 2D image

    Raises:
        ValueError: prediction and reference differ in shape.
    """
    if prediction.shape != reference.shape:
        raise ValueError(
            f"prediction {prediction.shape} and reference {reference.shape} differ in shape: "
            "score arrays of one grid"
        )
    voxel_mm3 = float(np.prod(spacing))
    millilitres = voxel_mm3 / 1000
    predicted, true = prediction.astype(bool, copy=False), reference.astype(bool, copy=False)
    predicted, true, spacing = _flat(predicted, true, spacing)
    present = bool(predicted.any()), bool(true.any())
    if any(present):
        predicted, true = crop(predicted, true)
    undefined = empty_rule.one_empty if any(present) else empty_rule.both_empty
    counts = [int(np.count_nonzero(mask)) for mask in (predicted, true, predicted & true)]
    num_predicted, num_true, common = counts
    hd95, hd, assd, nsd = _surface_scores(predicted, true, spacing, tolerance_mm, undefined)
    lesions = score_lesions(predicted, true, spacing, empty_rule.both_empty, voxel_mm3)
    return Scores(
        dice=_ratio(2 * common, num_predicted + num_true, undefined),
        iou=_ratio(common, num_predicted + num_true - common, undefined),
        hd95_mm=hd95,
        hd_mm=hd,
        assd_mm=assd,
        nsd=nsd,
        sensitivity=_ratio(common, num_true, undefined),
        precision=_ratio(common, num_predicted, undefined),
        volume_ml=num_predicted * millilitres,
        reference_ml=num_true * millilitres,
        volume_error_ml=(num_predicted - num_true) * millilitres,
        lesion_dice=lesions.dice,
        lesion_hd95_mm=lesions.hd95_mm,
        lesions_found=lesions.found,
        lesions_missed=lesions.missed,
        lesions_false=lesions.false,
    )


def _flat(
    predicted: Mask, true: Mask, spacing: Sequence[float]
) -> tuple[Mask, Mask, Sequence[float]]:
    """A 2D image without its axis of one voxel, whose outline is a line and not a slab."""
    if predicted.ndim != 3 or predicted.shape.count(1) != 1:
        return predicted, true, spacing
    axis = predicted.shape.index(1)
    in_plane = [size for index, size in enumerate(spacing) if index != axis]
    return predicted.squeeze(axis), true.squeeze(axis), in_plane


def _surface_scores(
    predicted: Mask,
    true: Mask,
    spacing: Sequence[float],
    tolerance_mm: float,
    undefined: Undefined,
) -> tuple[float, float, float, float]:
    """HD95, HD and ASSD in mm, and the normalised surface Dice."""
    if not (predicted.any() and true.any()):
        nothing_agrees = 0.0 if predicted.any() or true.any() else undefined.fraction
        distance = undefined.distance_mm
        return distance, distance, distance, nothing_agrees
    rims = rim_distances(predicted, true, spacing)
    sides = surfels(predicted, true, spacing)
    close = sum(side.area_within(tolerance_mm) for side in sides)
    nsd = close / sum(float(side.areas.sum()) for side in sides)
    return rims.hd95_mm, rims.hd_mm, rims.assd_mm, nsd


def _ratio(numerator: int, denominator: int, undefined: Undefined) -> float:
    return numerator / denominator if denominator else undefined.fraction
