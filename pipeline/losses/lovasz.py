"""Lovász-softmax, a loss that optimises IoU (Berman et al., 2018, arXiv:1705.08790)."""

import torch
from torch import Tensor

from pipeline.errors import UserError
from pipeline.losses.entropy import focal
from pipeline.losses.labels import TaskEntry, as_floats, known, one_hot
from pipeline.losses.loss import Loss


class LovaszFocal(Loss):
    """Sum of Lovász-softmax and a focal loss, as 3D U²-Net is trained with; for exclusive classes.

    Lovász-softmax looks at all voxels of a batch together, so its value is not the mean of its
    samples' values, and depends on how they are shared out among processes.

    Departs from the code of 3D U²-Net, which averages Lovász-softmax over all classes: here, as
    its own authors advise, over those that the batch holds. Of an absent class it would see
    nothing but the highest wrong probability.

    Args:
        task: see ``pipeline.tasks.Task``; None if labels are known to hold class numbers.
        gamma: how much the focal loss turns to what is wrong; at least 1.

    Shape:
        logits (B, out_channels, *S), label (B, 1, *S) of class numbers -> scalar

    Raises:
        UserError: the task has regions.
    """

    def __init__(self, task: TaskEntry = None, gamma: float = 2.0) -> None:
        super().__init__()
        its_task = known(task)
        if its_task is not None and its_task.regions:
            raise UserError(
                "loss LovaszFocal is for classes that exclude each other and the task has "
                "regions: use DiceCrossEntropy"
            )
        self.gamma = gamma

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        logits, label = as_floats(logits, label)
        lovasz = lovasz_softmax(logits.softmax(dim=1), label)
        weighted_entropy = focal(logits, label, True, self.gamma)
        self.keep(lovasz=lovasz, focal=weighted_entropy)
        return lovasz + weighted_entropy


def lovasz_softmax(probabilities: Tensor, label: Tensor) -> Tensor:
    """Mean over the classes in ``label`` of a convex extension of 1 - IoU, background included.

    Shape:
        probabilities (B, C, *S), label (B, 1, *S) of class numbers -> scalar
    """
    truth = one_hot(label, probabilities.shape[1]).transpose(0, 1).flatten(1)  # (C, voxels)
    errors = (truth - probabilities.transpose(0, 1).flatten(1)).abs()
    present = truth.amax(dim=1)
    return (lovasz_extension(errors, truth) * present).sum() / present.sum()


def lovasz_extension(errors: Tensor, truth: Tensor) -> Tensor:
    """Errors, each weighted by what it adds to 1 - IoU once all greater ones are made.

    Algorithm 1 of the paper. Its differences of neighbouring IoUs are written out, because for
    millions of voxels they are below single precision: a missed voxel takes 1 from the
    intersection, a false one adds 1 to the union.

    Shape:
        errors in [0, 1] and truth of zeros and ones, both (C, voxels) -> (C,)
    """
    errors, order = errors.sort(dim=1, descending=True)
    truth = truth.gather(1, order)
    total = truth.sum(dim=1, keepdim=True)
    intersection = total - truth.cumsum(dim=1)
    union = total + (1 - truth).cumsum(dim=1)
    missed = 1 / union.clamp_min(1)
    false = intersection / (union * (union - 1)).clamp_min(1)
    return (errors * torch.where(truth > 0, missed, false)).sum(dim=1)
