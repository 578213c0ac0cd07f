import math

import numpy as np
import pytest

from pipeline.evaluation.lesions import score_lesions
from pipeline.evaluation.rules import BRATS, find_rule
from pipeline.evaluation.scores import score_case

UNIT = (1.0, 1.0, 1.0)


def cubes(*corners, size=4, shape=(40, 16, 16)):
    """Cubes of 64 voxels, unless another size is given, at these places of the first axis."""
    mask = np.zeros(shape, dtype=bool)
    for corner in corners:
        mask[corner : corner + size, 4 : 4 + size, 4 : 4 + size] = True
    return mask


def score(predicted, true, spacing=UNIT, undefined=BRATS.one_empty):
    return score_lesions(predicted, true, spacing, undefined, float(np.prod(spacing)))


def test_a_found_lesion_counts_as_much_as_a_missed_one():
    scores = score(cubes(2), cubes(2, 22))
    assert (scores.found, scores.missed, scores.false) == (1, 1, 0)
    assert scores.dice == (1 + 0) / 2
    assert scores.hd95_mm == (0 + 374) / 2


def test_a_false_lesion_is_a_lesion_of_dice_0():
    scores = score(cubes(2, 22, 32), cubes(2))
    assert (scores.found, scores.missed, scores.false) == (1, 0, 2)
    assert scores.dice == pytest.approx(1 / 3)
    assert scores.hd95_mm == pytest.approx(2 * 374 / 3)


def test_a_false_lesion_of_one_voxel_counts():
    scores = score(cubes(2) | cubes(30, size=1), cubes(2))
    assert (scores.found, scores.false, scores.dice) == (1, 1, 0.5)


@pytest.mark.parametrize(("gap", "num_lesions"), [(6, 1), (7, 2)])
def test_parts_that_grow_together_in_three_dilations_are_one_lesion(gap, num_lesions):
    # Three voxels from each side fill a gap of six; a gap of seven leaves one voxel between.
    true = cubes(2, 2 + 4 + gap)
    scores = score(true, true)
    assert (scores.found, scores.dice, scores.hd95_mm) == (num_lesions, 1, 0)


@pytest.mark.parametrize(("gap", "found"), [(2, 1), (3, 0)])
def test_a_prediction_in_the_dilated_extent_finds_the_lesion(gap, found):
    # Voxels between the two: the third voxel beyond the lesion is the last of its extent.
    scores = score(cubes(6 + gap), cubes(2))
    assert (scores.found, scores.missed, scores.false) == (found, 1 - found, 1 - found)
    assert scores.dice == 0


def test_one_prediction_may_belong_to_two_lesions():
    true = cubes(2, 20)
    bridge = true.copy()
    bridge[2:24, 4, 4] = True  # joins both by 14 voxels
    scores = score(bridge, true)
    assert (scores.found, scores.missed, scores.false) == (2, 0, 0)
    assert scores.dice == pytest.approx(2 * 64 / (64 + 142))


def test_parts_that_touch_at_a_corner_are_one_prediction():
    predicted = np.zeros((12, 12, 12), dtype=bool)
    predicted[:2, :2, :2] = predicted[2:4, 2:4, 2:4] = True
    assert score(predicted, np.zeros_like(predicted)).false == 1


@pytest.mark.parametrize(("spacing", "counted"), [((1, 1, 1), 0), ((1, 1, 2), 1)])
def test_lesions_up_to_50_cubic_millimetres_are_not_counted(spacing, counted):
    # 27 voxels: 27 mm³, or 54 mm³.
    small = cubes(2, size=3)
    scores = score(np.zeros_like(small), small, spacing)
    assert scores.missed == counted


def test_a_lesion_of_exactly_50_cubic_millimetres_is_not_counted():
    true = np.zeros((16, 16, 16), dtype=bool)
    true[:5, :5, :2] = True
    assert score(np.zeros_like(true), true).missed == 0


def test_a_prediction_of_a_small_lesion_is_not_false():
    small = cubes(2, size=3)
    scores = score(small, small)
    assert scores[2:] == (0, 0, 0)


def test_the_rule_decides_where_there_is_nothing_to_score():
    small = cubes(2, size=3)
    assert score(small, small, undefined=BRATS.both_empty)[:2] == (1, 0)
    undefined = score(small, small, undefined=find_rule("nan").both_empty)
    assert math.isnan(undefined.dice)
    assert math.isnan(undefined.hd95_mm)


@pytest.mark.parametrize("predicted", [cubes(2, size=3), cubes(size=3)])
def test_a_reference_of_small_lesions_alone_scores_as_if_both_were_empty(predicted):
    # As in the published code, where the mean of no lesion becomes 1, and 0 mm.
    scores = score_case(predicted, cubes(2, size=3), UNIT)
    assert (scores.lesion_dice, scores.lesion_hd95_mm) == (1, 0)
    assert (scores.lesions_found, scores.lesions_missed, scores.lesions_false) == (0, 0, 0)


def test_a_lesion_in_a_single_slice_has_the_volume_of_the_slice():
    # 16 pixels of 1 mm² are 80 mm³ in a slice of 5 mm.
    slab = cubes(2)[..., 4:5]
    scores = score_case(slab, slab, (1, 1, 5))
    assert (scores.lesions_found, scores.lesion_dice, scores.lesion_hd95_mm) == (1, 1, 0)


def test_lesions_at_the_edge_of_the_image_are_as_elsewhere():
    predicted, true = cubes(1, 20), cubes(0, 20)
    inside = score(np.pad(predicted, 6), np.pad(true, 6))
    assert score(predicted, true) == inside


def test_distances_of_lesions_follow_the_spacing():
    # The cube moves along the first axis by one voxel of 3 mm; its walls there are 3 mm off.
    assert score(cubes(3), cubes(2), (3, 1, 1)).hd95_mm == 3


def test_a_plane_has_lesions_too():
    first = np.zeros((30, 30), dtype=bool)
    first[2:12, 2:12] = True
    assert score(first, first, (1, 1)) == (1, 0, 1, 0, 0)
