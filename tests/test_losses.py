from math import exp, log

import pytest
import torch

from pipeline.losses import DiceCrossEntropy

REGIONS = {"modalities": ["ct"], "regions": ["WT", "ET"]}
CLASSES = {"modalities": ["ct"], "classes": ["background", "liver", "tumour"]}

LOGIT_OF_THREE_QUARTERS = log(3)  # its sigmoid is 3/4


def one_voxel_each(values):
    """(B, C, 1, 1, voxels) of nested lists (B, C, voxels)."""
    return torch.tensor(values)[:, :, None, None]


def test_regions_get_dice_and_binary_cross_entropy_each():
    high = LOGIT_OF_THREE_QUARTERS
    logits = one_voxel_each([[[high, -high], [high, high]]])
    label = one_voxel_each([[[1.0, 0.0], [1.0, 0.0]]])
    # Probabilities: WT 3/4, 1/4; ET 3/4, 3/4. Each has one voxel of truth.
    wt_dice = 1 - 2 * 0.75 / (0.75 + 0.25 + 1)
    et_dice = 1 - 2 * 0.75 / (0.75 + 0.75 + 1)
    entropy = (3 * -log(0.75) + -log(0.25)) / 4
    expected = (wt_dice + et_dice) / 2 + entropy
    assert DiceCrossEntropy(REGIONS)(logits, label).item() == pytest.approx(expected, abs=1e-5)


def test_squared_terms_stand_in_the_denominator_of_dice_alone():
    high = LOGIT_OF_THREE_QUARTERS
    logits = one_voxel_each([[[high, -high], [high, high]]])
    label = one_voxel_each([[[1.0, 0.0], [1.0, 0.0]]])
    loss = DiceCrossEntropy(REGIONS, squared=True)
    loss(logits, label)
    wt_dice = 1 - 2 * 0.75 / (9 / 16 + 1 / 16 + 1)
    et_dice = 1 - 2 * 0.75 / (9 / 16 + 9 / 16 + 1)
    assert loss.parts["dice"].item() == pytest.approx((wt_dice + et_dice) / 2, abs=1e-5)
    entropy = (3 * -log(0.75) + -log(0.25)) / 4
    assert loss.parts["cross_entropy"].item() == pytest.approx(entropy, abs=1e-5)


def test_classes_get_softmax_with_the_dice_over_the_foreground_alone():
    # Two voxels, of classes 1 and 0; the softmax of (0, log 2, 0) is (1/4, 1/2, 1/4).
    logits = one_voxel_each([[[0.0, log(2)], [log(2), 0.0], [0.0, 0.0]]])
    label = one_voxel_each([[[1.0, 0.0]]])
    loss = DiceCrossEntropy(CLASSES)
    total = loss(logits, label).item()
    liver = 1 - 2 * 0.5 / (0.5 + 0.25 + 1)
    tumour = 1 - 0 / (0.25 + 0.25 + 0)
    assert loss.parts["dice"].item() == pytest.approx((liver + tumour) / 2, abs=1e-4)
    assert loss.parts["cross_entropy"].item() == pytest.approx(log(2), abs=1e-6)
    assert total == pytest.approx((liver + tumour) / 2 + log(2), abs=1e-4)


def test_the_cases_of_a_batch_share_one_dice():
    logits = torch.full((2, 2, 1, 1, 1), LOGIT_OF_THREE_QUARTERS)
    label = one_voxel_each([[[1.0], [1.0]], [[0.0], [0.0]]])
    loss = DiceCrossEntropy(REGIONS)
    loss(logits, label)
    assert loss.parts["dice"].item() == pytest.approx(1 - 2 * 0.75 / (0.75 + 0.75 + 1), abs=1e-5)


@pytest.mark.parametrize("task", [REGIONS, CLASSES])
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64])
def test_labels_of_whole_numbers_count_like_floats(task, dtype):
    loss = DiceCrossEntropy(task)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, len(task.get("regions") or task["classes"]), 3, 3, generator=generator)
    label = torch.randint(2, (2, len(task.get("regions") or "1"), 3, 3), generator=generator)
    assert loss(logits, label.to(dtype)) == loss(logits, label.float())


def test_half_precision_logits_give_a_loss_in_single_precision():
    logits = torch.zeros(1, 2, 2, 2, dtype=torch.float16)
    loss = DiceCrossEntropy(REGIONS)(logits, torch.ones(1, 2, 2, 2))
    assert loss.dtype == torch.float32


@pytest.mark.parametrize("spatial", [(4, 4), (4, 4, 4)])
def test_the_parts_add_up_and_carry_no_gradient(spatial):
    loss = DiceCrossEntropy(REGIONS)
    logits = torch.zeros(1, 2, *spatial, requires_grad=True)
    total = loss(logits, torch.ones(1, 2, *spatial))
    assert set(loss.parts) == {"dice", "cross_entropy"}
    assert total.item() == pytest.approx(sum(part.item() for part in loss.parts.values()))
    assert not any(part.requires_grad for part in loss.parts.values())
    total.backward()
    assert logits.grad.abs().sum() > 0


def test_a_perfect_and_certain_answer_costs_next_to_nothing():
    label = one_voxel_each([[[1.0, 0.0], [0.0, 0.0]]])  # the second region is empty
    loss = DiceCrossEntropy(REGIONS)(100 * (2 * label - 1), label)
    assert loss.item() == pytest.approx(0, abs=exp(-9))
