import pytest
import torch

from pipeline.losses import ByTask, DiceCrossEntropy, LovaszFocal

GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(1, 3, 4, 4, 4, generator=GENERATOR)


@pytest.mark.parametrize(
    ("label", "logits", "expected"),
    [
        (torch.ones(1, 1, 4, 4, 4), LOGITS, LovaszFocal()),
        (torch.ones(1, 3, 4, 4, 4), LOGITS, DiceCrossEntropy()),
        (torch.ones(1, 1, 4, 4, 4), LOGITS[:, :1], DiceCrossEntropy()),
    ],
    ids=["class numbers", "regions", "one region"],
)
def test_the_label_chooses_the_loss_and_its_parts(label, logits, expected):
    loss = ByTask(classes=LovaszFocal(), regions=DiceCrossEntropy())
    assert loss(logits, label) == expected(logits, label)
    assert loss.parts == expected.parts


def test_parts_of_the_task_before_are_forgotten():
    loss = ByTask(classes=LovaszFocal(), regions=DiceCrossEntropy())
    loss(LOGITS, torch.ones(1, 1, 4, 4, 4))
    loss(LOGITS, torch.ones(1, 3, 4, 4, 4))
    assert list(loss.parts) == ["dice", "cross_entropy"]
