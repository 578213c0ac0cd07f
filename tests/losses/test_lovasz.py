from math import log

import pytest
import torch

from pipeline.errors import UserError
from pipeline.losses import LovaszFocal
from pipeline.losses.lovasz import lovasz_extension, lovasz_softmax


def test_errors_are_weighted_by_what_they_add_to_one_minus_iou():
    # Four voxels, the first two of class 1, which has these probabilities.
    foreground = torch.tensor([0.9, 0.6, 0.2, 0.3])
    probabilities = torch.stack((1 - foreground, foreground)).reshape(1, 2, 2, 2)
    label = torch.tensor([1.0, 1.0, 0.0, 0.0]).reshape(1, 1, 2, 2)
    # Errors 0.4, 0.3, 0.2, 0.1. With each made in turn, 1 - IoU of class 1 is 1/2, 2/3, 3/4, 1,
    # and of class 0 it is 1/3, 2/3, 1, 1.
    class_1 = 0.4 / 2 + 0.3 * (2 / 3 - 1 / 2) + 0.2 * (3 / 4 - 2 / 3) + 0.1 * (1 - 3 / 4)
    class_0 = 0.4 / 3 + 0.3 / 3 + 0.2 / 3
    expected = (class_1 + class_0) / 2
    assert lovasz_softmax(probabilities, label).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("present", [4, 3], ids=["all classes", "one class absent"])
def test_hard_predictions_cost_one_minus_the_mean_iou_of_the_classes_present(seed, present):
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(present, (2, 1, 5, 4, 3), generator=generator)
    predicted = torch.randint(4, label.shape, generator=generator)
    probabilities = torch.cat([(predicted == number).float() for number in range(4)], dim=1)
    distances = []
    for number in range(present):
        found, truth = predicted == number, label == number
        distances.append(1 - ((found & truth).sum() / (found | truth).sum()).item())
    expected = sum(distances) / present
    assert lovasz_softmax(probabilities, label).item() == pytest.approx(expected, abs=1e-6)


def test_a_class_that_fills_the_image_can_be_missed_wholly():
    probabilities = torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1).expand(1, 2, 3, 3)
    assert lovasz_softmax(probabilities, torch.ones(1, 1, 3, 3)).item() == pytest.approx(1)


def test_each_of_many_voxels_has_its_exact_share():
    num_voxels = 2**18
    errors = torch.linspace(0, 1, num_voxels)[None].requires_grad_()
    lovasz_extension(errors, torch.ones(1, num_voxels)).sum().backward()
    torch.testing.assert_close(errors.grad * num_voxels, torch.ones(1, num_voxels))


def test_focal_loss_is_added():
    # Class 0 in the only voxel, with a probability of 3/4.
    logits = torch.tensor([log(3), 0.0]).reshape(1, 2, 1, 1)
    loss = LovaszFocal({"modalities": ["ct"], "classes": ["background", "liver"]})
    total = loss(logits, torch.zeros(1, 1, 1, 1)).item()
    assert loss.parts["lovasz"].item() == pytest.approx(0.25)
    assert loss.parts["focal"].item() == pytest.approx(0.25**2 * -log(0.75))
    assert total == pytest.approx(0.25 + 0.25**2 * -log(0.75))


def test_regions_are_refused():
    with pytest.raises(UserError, match="use DiceCrossEntropy"):
        LovaszFocal({"modalities": ["ct"], "regions": ["WT", "ET"]})
