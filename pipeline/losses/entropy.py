"""Cross-entropy, and how focal loss weights it (Lin et al., 2017, arXiv:1708.02002)."""

from torch import Tensor
from torch.nn import functional

from pipeline.losses.labels import TaskEntry, as_floats, is_exclusive, known
from pipeline.losses.loss import Loss


class CrossEntropy(Loss):
    """Cross-entropy of exclusive classes, or the mean of the binary ones of all regions.

    Args:
        task: see ``pipeline.tasks.Task``; None to read labels by their shape.

    Shape:
        logits (B, out_channels, *S), label (B, regions, *S) of zeros and ones or (B, 1, *S) of
        class numbers -> scalar
    """

    def __init__(self, task: TaskEntry = None) -> None:
        super().__init__()
        self.task = known(task)

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        logits, label = as_floats(logits, label)
        entropy = entropies(logits, label, is_exclusive(self.task, logits, label)).mean()
        self.keep(cross_entropy=entropy)
        return entropy


def entropies(logits: Tensor, label: Tensor, exclusive: bool) -> Tensor:
    """Cross-entropy of each voxel, (B, *S), or of each voxel and region, (B, regions, *S)."""
    if exclusive:
        return functional.cross_entropy(logits, label[:, 0].long(), reduction="none")
    return functional.binary_cross_entropy_with_logits(logits, label, reduction="none")


def focal(logits: Tensor, label: Tensor, exclusive: bool, gamma: float) -> Tensor:
    """Mean cross-entropy, weighted by (1 - probability of the truth) ** gamma; gamma >= 1."""
    entropy = entropies(logits, label, exclusive)
    return ((1 - (-entropy).exp()) ** gamma * entropy).mean()
