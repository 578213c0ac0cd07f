from math import log

import pytest
import torch

from pipeline.losses import DeepSupervision, Presence, SoftDice
from pipeline.networks import Guided

HEADS = [torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)]
# present with 3/4, 3/4 and 1/2
DECISIONS = torch.tensor([[[0.0, log(3)], [0.0, log(3)], [0.0, 0.0]]])


def label_with_the_second_region():
    label = torch.zeros(1, 3, 2, 2)
    label[0, 1, 0, 1] = 1
    return label


def test_the_classification_learns_which_regions_the_label_holds():
    label = label_with_the_second_region()
    loss = Presence(DeepSupervision(SoftDice()))
    loss(Guided(HEADS, DECISIONS), label)
    expected = (-log(0.25) - log(0.75) - log(0.5)) / 3
    assert loss.parts["presence"].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("classes", [(0.0, 1.0), (1.0, 1.0)], ids=["background", "none"])
def test_the_background_of_classes_is_always_present(classes):
    label = torch.tensor(classes).reshape(1, 1, 1, 2)
    loss = Presence(DeepSupervision(SoftDice()))
    loss(Guided([torch.zeros(1, 3, 1, 2)], DECISIONS), label)
    expected = (-log(0.75) - log(0.75) - log(0.5)) / 3
    assert loss.parts["presence"].item() == pytest.approx(expected, abs=1e-6)


def test_the_classification_is_weighted_beside_the_segmentation():
    label = label_with_the_second_region()
    inner = DeepSupervision(SoftDice())
    segmentation = inner(HEADS, label).item()
    loss = Presence(DeepSupervision(SoftDice()), weight=0.5)
    total = loss(Guided(HEADS, DECISIONS), label).item()
    assert total == pytest.approx(segmentation + 0.5 * loss.parts["presence"].item())
    assert list(loss.parts) == [*inner.parts, "presence"]


@pytest.mark.parametrize("output", [HEADS, HEADS[0]], ids=["heads", "one tensor"])
def test_without_guidance_it_is_the_inner_loss(output):
    label = label_with_the_second_region()
    inner = DeepSupervision(SoftDice())
    loss = Presence(DeepSupervision(SoftDice()))
    assert loss(output, label) == inner(output, label)
    assert loss.parts == inner.parts
