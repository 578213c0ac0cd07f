"""Scores of a validation, where a case may lack a target altogether."""

import torch
from monai.metrics import DiceMetric, MeanIoU
from torch import Tensor


class MeanDice(DiceMetric):
    """Mean Dice of binary targets (B, targets, *S).

    Both empty gives 1, one empty 0. A target that is NaN in the reference, because the case is of
    a domain without it, is not counted.
    """

    def __init__(self) -> None:
        super().__init__(ignore_empty=False)

    def _compute_tensor(self, y_pred: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        scores = super()._compute_tensor(y_pred.nan_to_num(), y.nan_to_num())
        return without_missing(scores, y)


class MeanOverlap(MeanIoU):
    """Mean intersection over union, by the rules of ``MeanDice``."""

    def __init__(self) -> None:
        super().__init__(ignore_empty=False)

    def _compute_tensor(self, y_pred: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        scores = super()._compute_tensor(y_pred.nan_to_num(), y.nan_to_num())
        return without_missing(scores, y)


def without_missing(scores: Tensor, reference: Tensor) -> Tensor:
    """``scores`` (B, targets) with NaN where the reference is."""
    missing = reference.flatten(2).isnan().any(dim=2)
    return torch.where(missing, torch.nan, scores)
