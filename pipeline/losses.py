"""Losses that follow from the task."""

from collections.abc import Mapping
from typing import Any

import torch
from monai.losses import DiceLoss
from torch import Tensor, nn

from pipeline.tasks import Task


class DiceCrossEntropy(nn.Module):
    """Sum of soft Dice and cross-entropy.

    Overlapping regions get a sigmoid and binary cross-entropy each; exclusive classes a softmax,
    with the Dice over the foreground classes.

    Args:
        task: see ``pipeline.tasks.Task``.
        squared: whether the denominator of Dice has squared terms (Milletari et al., 2016).

    Shape:
        logits (B, out_channels, *S), label (B, regions, *S) of zeros and ones or (B, 1, *S) of
        class numbers -> scalar; ``parts`` keeps the last value of each term.
    """

    def __init__(self, task: Mapping[str, Any] | Task, squared: bool = False) -> None:
        super().__init__()
        self.exclusive = bool(Task.of(task).classes)
        self.dice = DiceLoss(
            include_background=not self.exclusive,
            to_onehot_y=self.exclusive,
            sigmoid=not self.exclusive,
            softmax=self.exclusive,
            squared_pred=squared,
            batch=True,
        )
        self.parts: dict[str, Tensor] = {}

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        logits, label = logits.float(), label.float()
        dice = self.dice(logits, label)
        if self.exclusive:
            entropy = nn.functional.cross_entropy(logits, label[:, 0].long())
        else:
            entropy = nn.functional.binary_cross_entropy_with_logits(logits, label)
        self.parts = {"dice": dice.detach(), "cross_entropy": entropy.detach()}
        return torch.add(dice, entropy)
