"""How a label is read: overlapping regions, or numbers of classes that exclude each other.

Everywhere in this package logits are (B, out_channels, *S), and a label is (B, out_channels, *S)
of zeros and ones for regions, or (B, 1, *S) of class numbers.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pipeline.tasks import Task

TaskEntry = Mapping[str, Any] | Task | None
"""The ``task`` of a bundle, or None where labels of several tasks come and their shapes tell."""


def known(task: TaskEntry) -> Task | None:
    """The task of ``pipeline.tasks``, if one is given."""
    return None if task is None else Task.of(task)


def is_exclusive(task: Task | None, logits: Tensor, label: Tensor) -> bool:
    """Whether ``label`` holds class numbers: as ``task`` says, else one channel for many logits."""
    if task is None:
        return label.shape[1] == 1 < logits.shape[1]
    return bool(task.classes)


def as_floats(logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Both as plain tensors in single precision, whatever autocast and transforms made them."""
    return logits.as_subclass(Tensor).float(), label.as_subclass(Tensor).float()


def one_hot(label: Tensor, num_classes: int) -> Tensor:
    """Class numbers (B, 1, *S) -> zeros and ones (B, num_classes, *S)."""
    classes = torch.arange(num_classes, device=label.device)
    return (label == classes.reshape(-1, *[1] * (label.ndim - 2))).float()


def foreground(logits: Tensor, label: Tensor, exclusive: bool) -> tuple[Tensor, Tensor]:
    """Probabilities and truth of each region, or of each class but the background.

    Shape:
        logits (B, out_channels, *S), label as above -> twice (B, C, *S), where C is one less than
        ``out_channels`` if classes are ``exclusive``
    """
    if exclusive:
        return logits.softmax(dim=1)[:, 1:], one_hot(label, logits.shape[1])[:, 1:]
    return logits.sigmoid(), label
