"""The loss of a classification that guides the segmentation (UNet 3+)."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from pipeline.losses.labels import as_floats, is_exclusive, one_hot
from pipeline.losses.loss import Loss, parts_of
from pipeline.networks import Guided


class Presence(Loss):
    """A loss over the heads, plus cross-entropy of which channels the label holds at all.

    A region or class is present in a sample if any voxel has it; the background of exclusive
    classes always is. Without guidance, as in evaluation, it is simply ``loss``. The parts are
    those of ``loss`` and ``presence``.

    Args:
        loss: over a list of heads, such as ``DeepSupervision``.
        weight: of the cross-entropy.

    Shape:
        ``pipeline.networks.Guided`` or what ``loss`` takes, and a label -> scalar
    """

    def __init__(self, loss: nn.Module, weight: float = 1.0) -> None:
        super().__init__()
        self.loss = loss
        self.weight = weight

    def forward(self, output: Guided | Sequence[Tensor] | Tensor, label: Tensor) -> Tensor:
        if not isinstance(output, Guided):
            value: Tensor = self.loss(output, label)
            self.keep(**parts_of(self.loss))
            return value
        segmentation = self.loss(output.heads, label)
        decisions, label = as_floats(output.presence, label)
        present = presence(label, is_exclusive(None, decisions, label), decisions.shape[1])
        entropy = functional.cross_entropy(decisions.flatten(0, 1), present.flatten().long())
        self.keep(**parts_of(self.loss), presence=entropy)
        return segmentation + self.weight * entropy


def presence(label: Tensor, exclusive: bool, out_channels: int) -> Tensor:
    """Zeros and ones (B, out_channels): whether each sample of ``label`` holds each channel."""
    if not exclusive:
        return label.flatten(2).amax(dim=2)
    present = one_hot(label, out_channels).flatten(2).amax(dim=2)
    present[:, 0] = 1
    return present
