from math import log

import pytest
import torch

from pipeline.losses import Hybrid

THREE_QUARTERS = log(3)  # the logit whose sigmoid is 3/4
FOCAL = 0.25**2 * -log(0.75)
SINGLE = 2e-4  # what single precision leaves of the small variances in MS-SSIM


def parts(logits, label):
    loss = Hybrid()
    total = loss(logits, label).item()
    values = {name: part.item() for name, part in loss.parts.items()}
    assert total == pytest.approx(sum(values.values()), abs=1e-6)
    return values


@pytest.mark.parametrize("spatial", [(11, 20), (11, 11, 12)])
def test_three_terms_judge_voxels_patches_and_the_whole(spatial):
    logits = torch.full((1, 1, *spatial), THREE_QUARTERS)
    values = parts(logits, torch.ones(1, 1, *spatial))
    luminance = (2 * 0.75 + 0.0001) / (0.75**2 + 1 + 0.0001)
    assert values["focal"] == pytest.approx(FOCAL, abs=1e-6)
    assert values["iou"] == pytest.approx(1 - 0.75, abs=1e-5)
    assert values["ms_ssim"] == pytest.approx(1 - luminance, abs=SINGLE)


def test_a_patch_too_small_for_the_window_has_no_ms_ssim():
    values = parts(torch.full((1, 1, 10, 30), THREE_QUARTERS), torch.ones(1, 1, 10, 30))
    assert values == pytest.approx({"focal": FOCAL, "iou": 0.25}, abs=1e-5)


def test_the_background_of_classes_counts_for_voxels_alone():
    # Class 1 is everywhere, with a probability of 3/4; there is no class 2, with 1/8.
    logits = torch.tensor([0.0, log(6), 0.0]).reshape(1, 3, 1, 1).expand(1, 3, 11, 11)
    values = parts(logits, torch.ones(1, 1, 11, 11))
    liver = (2 * 0.75 + 0.0001) / (0.75**2 + 1 + 0.0001)
    tumour = 0.0001 / (0.125**2 + 0.0001)
    assert values["focal"] == pytest.approx(FOCAL, abs=1e-6)
    assert values["iou"] == pytest.approx((0.25 + 1) / 2, abs=1e-5)
    assert values["ms_ssim"] == pytest.approx(1 - (liver + tumour) / 2, abs=SINGLE)


def test_a_perfect_and_certain_answer_costs_next_to_nothing():
    label = torch.zeros(1, 2, 22, 22)  # the second region is empty
    label[:, 0, 5:15, 5:15] = 1
    assert Hybrid()(100 * (2 * label - 1), label).item() == pytest.approx(0, abs=1e-4)
