from math import log

import pytest
import torch

from pipeline.losses import CrossEntropy
from pipeline.losses.entropy import focal

LOGITS = torch.tensor([[[log(3), 0.0]], [[0.0, 0.0]]]).transpose(0, 1)[..., None]
"""Two channels and two voxels: (log 3, 0) and (0, 0)."""


def test_cross_entropy_of_classes_is_the_mean_over_voxels():
    label = torch.tensor([[[[0.0], [1.0]]]])
    # softmax: 3/4 for class 0 in the first voxel, 1/2 for class 1 in the second
    expected = (-log(0.75) - log(0.5)) / 2
    assert CrossEntropy()(LOGITS, label).item() == pytest.approx(expected, abs=1e-6)


def test_cross_entropy_of_regions_is_the_mean_over_voxels_and_regions():
    label = torch.tensor([[[[1.0], [1.0]], [[0.0], [0.0]]]])
    # sigmoid: 3/4, 1/2; 1/2, 1/2
    expected = (-log(0.75) - 3 * log(0.5)) / 4
    assert CrossEntropy()(LOGITS, label).item() == pytest.approx(expected, abs=1e-6)


def test_focal_loss_weights_each_voxel_by_the_square_of_what_is_missing():
    label = torch.tensor([[[[0.0], [1.0]]]])
    expected = (0.25**2 * -log(0.75) + 0.5**2 * -log(0.5)) / 2
    assert focal(LOGITS, label, True, 2.0).item() == pytest.approx(expected, abs=1e-6)


def test_focal_loss_of_regions_counts_the_probability_of_absence_too():
    label = torch.tensor([[[[0.0], [1.0]], [[0.0], [0.0]]]])
    expected = (0.75**2 * -log(0.25) + 3 * 0.5**2 * -log(0.5)) / 4
    assert focal(LOGITS, label, False, 2.0).item() == pytest.approx(expected, abs=1e-6)
