"""Scores lesion by lesion, by the conventions of BraTS 2023 for gliomas.

Source: Saluja et al., the published code of the challenge (rachitsaluja/BraTS-2023-Metrics), with
its constants for BraTS-GLI. They count voxels of 1 mm, and so does ``DILATIONS`` here.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.evaluation.distances import Mask, crop, surfels
from pipeline.evaluation.rules import Undefined

DILATIONS = 3
"""Parts of a reference that grow together in so many dilations by a voxel are one lesion."""
MIN_LESION_MM3 = 50.0
"""Lesions of the reference up to this volume are neither scored nor counted."""
PENALTY_MM = 374.0
"""The distance of a lesion that is missed, and of a false one."""


class LesionScores(NamedTuple):
    """The scores of the lesions of one region.

    Args:
        dice: mean over the scored lesions and the false ones, which have 0.
        hd95_mm: mean over the same, where missed and false ones have ``PENALTY_MM``.
        found: lesions of the reference that a predicted one touches.
        missed: lesions of the reference that none touches.
        false: predicted lesions that touch no lesion of the reference, be it too small to score.
    """

    dice: float
    hd95_mm: float
    found: int
    missed: int
    false: int


def score_lesions(
    predicted: Mask,
    true: Mask,
    spacing: Sequence[float],
    undefined: Undefined,
    voxel_mm3: float,
) -> LesionScores:
    """Match the predicted lesions to those of the reference, and score each of these.

    A predicted lesion is a component of 26 neighbours. Those of the reference are found after
    ``DILATIONS`` dilations by 18 neighbours; a predicted one belongs to each whose dilated extent
    it touches.

    Args:
        predicted: the predicted region.
        true: the region of the reference.
        spacing: mm per voxel, in the order of the array's axes.
        undefined: the scores where there is neither a lesion to score nor a false one.
        voxel_mm3: volume of a voxel, of all axes, also in a plane of a volume.

    Shape:
        predicted (*S), true (*S)
    """
    if not (predicted.any() or true.any()):
        return LesionScores(undefined.fraction, undefined.distance_mm, 0, 0, 0)
    predicted, true = np.pad(predicted, DILATIONS), np.pad(true, DILATIONS)
    components, num_components = _components(predicted)
    extents, num_lesions = _extents(true)
    touching = _pairs(extents, components, num_lesions, num_components)
    volumes = np.bincount(extents[true], minlength=num_lesions + 1) * voxel_mm3
    dice, hd95, found = [], [], 0
    for lesion in np.flatnonzero(volumes[1:] > MIN_LESION_MM3) + 1:
        matched = touching[lesion]
        found += bool(matched.any())
        dice_of, hd95_of = _score(matched[components], true & (extents == lesion), spacing)
        dice.append(dice_of)
        hd95.append(hd95_of)
    false = num_components - int(touching[1:, 1:].any(axis=0).sum())
    missed = len(dice) - found
    if not dice and not false:
        return LesionScores(undefined.fraction, undefined.distance_mm, 0, 0, 0)
    dice += [0.0] * false
    hd95 += [PENALTY_MM] * false
    return LesionScores(float(np.mean(dice)), float(np.mean(hd95)), found, missed, false)


def _extents(true: Mask) -> tuple[NDArray[np.int32], int]:
    """Number of the dilated lesion in which each voxel lies, 0 for none; and how many there are."""
    cross = ndimage.generate_binary_structure(true.ndim, min(2, true.ndim))
    dilated = ndimage.binary_dilation(true, cross, iterations=DILATIONS)
    return _components(dilated)


def _components(mask: Mask) -> tuple[NDArray[np.int32], int]:
    """Components of 26 neighbours (8 in 2D), numbered from 1; and how many there are."""
    numbers = np.empty(mask.shape, dtype=np.int32)
    num_components = ndimage.label(mask, np.ones([3] * mask.ndim), output=numbers)
    return numbers, int(num_components)


def _pairs(
    extents: NDArray[np.int32],
    components: NDArray[np.int32],
    num_lesions: int,
    num_components: int,
) -> Mask:
    """Whether a lesion (row) touches a component (column); the background, 0, touches none."""
    touching = np.zeros((num_lesions + 1, num_components + 1), dtype=bool)
    touching[extents, components] = True
    touching[0] = False
    touching[:, 0] = False
    return touching


def _score(predicted: Mask, true: Mask, spacing: Sequence[float]) -> tuple[float, float]:
    """Dice and area-weighted HD95 (mm) of one lesion."""
    if not predicted.any():
        return 0.0, PENALTY_MM
    predicted, true = crop(predicted, true)
    both = np.count_nonzero(predicted) + np.count_nonzero(true)
    dice = float(2 * np.count_nonzero(predicted & true) / both)
    return dice, max(side.percentile(0.95) for side in surfels(predicted, true, spacing))
