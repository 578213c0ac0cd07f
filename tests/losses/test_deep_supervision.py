import pytest
import torch
from torch import nn

from pipeline.errors import UserError
from pipeline.losses import DeepSupervision, DiceCrossEntropy

LABEL = torch.zeros(1, 2, 2, 2)
HEADS = [torch.full((1, 2, 2, 2), value) for value in (1.0, 2.0, 4.0)]


def test_heads_count_equally():
    assert DeepSupervision(nn.MSELoss())(HEADS, LABEL).item() == (1 + 4 + 16) / 3


def test_weights_make_a_weighted_mean():
    loss = DeepSupervision(nn.MSELoss(), weights=(4.0, 2.0, 1.0))
    assert loss(HEADS, LABEL).item() == pytest.approx((4 * 1 + 2 * 4 + 1 * 16) / 7)


def test_one_tensor_is_one_head():
    loss = DeepSupervision(DiceCrossEntropy(), weights=(2.0, 1.0))
    alone = DiceCrossEntropy()
    assert loss(HEADS[1], LABEL) == alone(HEADS[1], LABEL)
    assert loss.parts == alone.parts


def test_parts_are_those_of_the_best_head_and_the_loss_of_each():
    loss = DeepSupervision(DiceCrossEntropy())
    total = loss(HEADS, LABEL)
    best = DiceCrossEntropy()
    best(HEADS[0], LABEL)
    assert list(loss.parts) == ["dice", "cross_entropy", "head_0", "head_1", "head_2"]
    assert {name: loss.parts[name] for name in best.parts} == best.parts
    heads = [loss.parts[f"head_{index}"].item() for index in range(3)]
    assert heads == [DiceCrossEntropy()(head, LABEL).item() for head in HEADS]
    assert total.item() == pytest.approx(sum(heads) / 3)


def test_weights_for_another_number_of_heads_are_refused():
    with pytest.raises(UserError, match="2 weights and the network 3 heads"):
        DeepSupervision(nn.MSELoss(), weights=(1.0, 1.0))(HEADS, LABEL)
