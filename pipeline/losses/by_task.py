"""One loss for each kind of label, where a training has several tasks."""

from torch import Tensor, nn

from pipeline.losses.labels import is_exclusive
from pipeline.losses.loss import Loss, parts_of


class ByTask(Loss):
    """The loss that fits the label of the batch; a batch is of one task.

    Its parts are those of the loss that was used.

    Args:
        classes: used if the label has the numbers of exclusive classes, that is one channel where
            there are several logits.
        regions: used otherwise.

    Shape:
        logits (B, out_channels, *S), label (B, regions, *S) of zeros and ones or (B, 1, *S) of
        class numbers -> scalar
    """

    def __init__(self, classes: nn.Module, regions: nn.Module) -> None:
        super().__init__()
        self.classes = classes
        self.regions = regions

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        loss = self.classes if is_exclusive(None, logits, label) else self.regions
        value: Tensor = loss(logits, label)
        self.keep(**parts_of(loss))
        return value
