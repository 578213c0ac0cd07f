from math import exp, log

import pytest
import torch

from pipeline.errors import UserError
from pipeline.losses import DiceCrossEntropy, SoftDice

REGIONS = {"modalities": ["ct"], "regions": ["WT", "ET"]}
CLASSES = {"modalities": ["ct"], "classes": ["background", "liver", "tumour"]}

THREE_QUARTERS = log(3)  # the logit whose sigmoid is 3/4


def voxels(values):
    """(B, C, voxels, 1) of nested lists (B, C, voxels)."""
    return torch.tensor(values)[..., None]


# Probabilities: WT 3/4, 1/4; ET 3/4, 3/4. Each has one voxel of truth.
LOGITS = voxels([[[THREE_QUARTERS, -THREE_QUARTERS], [THREE_QUARTERS, THREE_QUARTERS]]])
LABEL = voxels([[[1.0, 0.0], [1.0, 0.0]]])
ENTROPY = (3 * -log(0.75) + -log(0.25)) / 4
WT = 1 - 2 * 0.75 / (0.75 + 0.25 + 1)
ET = 1 - 2 * 0.75 / (0.75 + 0.75 + 1)


def test_regions_get_dice_and_binary_cross_entropy_each():
    loss = DiceCrossEntropy(REGIONS)(LOGITS, LABEL)
    assert loss.item() == pytest.approx((WT + ET) / 2 + ENTROPY, abs=1e-5)


def test_the_terms_are_weighted_and_the_parts_are_not():
    loss = DiceCrossEntropy(REGIONS, dice=0.5, cross_entropy=0.25)
    total = loss(LOGITS, LABEL).item()
    assert loss.parts["dice"].item() == pytest.approx((WT + ET) / 2, abs=1e-5)
    assert loss.parts["cross_entropy"].item() == pytest.approx(ENTROPY, abs=1e-6)
    assert total == pytest.approx(0.5 * (WT + ET) / 2 + 0.25 * ENTROPY, abs=1e-5)


@pytest.mark.parametrize(
    "loss", [DiceCrossEntropy(REGIONS, squared=True), SoftDice(REGIONS)], ids=["both", "alone"]
)
def test_squared_terms_stand_in_the_denominator_of_dice(loss):
    loss(LOGITS, LABEL)
    wt = 1 - 2 * 0.75 / (9 / 16 + 1 / 16 + 1)
    et = 1 - 2 * 0.75 / (9 / 16 + 9 / 16 + 1)
    assert loss.parts["dice"].item() == pytest.approx((wt + et) / 2, abs=1e-5)


def test_classes_get_softmax_with_the_dice_over_the_foreground_alone():
    # Two voxels, of classes 1 and 0; the softmax of (0, log 2, 0) is (1/4, 1/2, 1/4).
    logits = voxels([[[0.0, log(2)], [log(2), 0.0], [0.0, 0.0]]])
    label = voxels([[[1.0, 0.0]]])
    loss = DiceCrossEntropy(CLASSES)
    loss(logits, label)
    liver = 1 - 2 * 0.5 / (0.5 + 0.25 + 1)
    tumour = 1 - 0 / (0.25 + 0.25 + 0)
    assert loss.parts["dice"].item() == pytest.approx((liver + tumour) / 2, abs=1e-4)
    assert loss.parts["cross_entropy"].item() == pytest.approx(log(2), abs=1e-6)


def test_each_sample_has_a_dice_of_its_own():
    # The first sample is found with 3/4, the second is empty and has 3/4 too: 1 - 2 * 0.75 / 1.75
    # and 1, where one Dice for both would be 1 - 2 * 0.75 / 2.5.
    logits = torch.full((2, 2, 1, 1), THREE_QUARTERS)
    label = voxels([[[1.0], [1.0]], [[0.0], [0.0]]])
    loss = SoftDice(REGIONS, squared=False)(logits, label)
    assert loss.item() == pytest.approx((1 - 1.5 / 1.75 + 1) / 2, abs=1e-4)


def test_a_perfect_and_certain_answer_costs_next_to_nothing():
    label = voxels([[[1.0, 0.0], [0.0, 0.0]]])  # the second region is empty
    loss = DiceCrossEntropy(REGIONS)(100 * (2 * label - 1), label)
    assert loss.item() == pytest.approx(0, abs=exp(-9))


def test_a_task_without_targets_is_refused_at_once():
    with pytest.raises(UserError, match="either regions"):
        DiceCrossEntropy({"modalities": ["ct"]})


@pytest.mark.parametrize("loss", [SoftDice, DiceCrossEntropy])
def test_smooth_lets_a_region_that_is_absent_teach(loss):
    function = loss(REGIONS, squared=False, smooth=1.0)
    function(LOGITS, torch.zeros_like(LABEL))
    assert function.parts["dice"].item() == pytest.approx(1 - (1 / 2 + 1 / 2.5) / 2)
