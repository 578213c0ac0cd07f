"""Soft Dice, alone and with cross-entropy."""

from monai.losses import DiceLoss
from torch import Tensor

from pipeline.losses.entropy import CrossEntropy
from pipeline.losses.labels import TaskEntry, as_floats, foreground, is_exclusive, known
from pipeline.losses.loss import Loss


class SoftDice(Loss):
    """One minus soft Dice, the mean over samples and regions or foreground classes.

    Each sample has a Dice of its own, so the loss of a batch is the mean of its samples' losses,
    however they are shared out among processes.

    Args:
        task: see ``pipeline.tasks.Task``; None to read labels by their shape.
        squared: whether the denominator has squared terms (Milletari et al., 2016).
        smooth: added to numerator and denominator. With 1 a region that is absent still teaches
            where all of it is false; the gradient of 1e-5 vanishes there.

    Shape:
        logits (B, out_channels, *S), label (B, regions, *S) of zeros and ones or (B, 1, *S) of
        class numbers -> scalar
    """

    def __init__(self, task: TaskEntry = None, squared: bool = True, smooth: float = 1e-5) -> None:
        super().__init__()
        self.task = known(task)
        self.dice = DiceLoss(squared_pred=squared, smooth_nr=smooth, smooth_dr=smooth)

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        logits, label = as_floats(logits, label)
        dice = self.dice(*foreground(logits, label, is_exclusive(self.task, logits, label)))
        self.keep(dice=dice)
        return dice


class DiceCrossEntropy(Loss):
    """Weighted sum of soft Dice and cross-entropy.

    The loss of a batch is the mean of its samples' losses: see ``SoftDice``.

    Args:
        task: see ``pipeline.tasks.Task``; None to read labels by their shape.
        dice: weight of Dice.
        cross_entropy: weight of cross-entropy; 0.5 in UNet++.
        squared: see ``SoftDice``.
        smooth: see ``SoftDice``; 1 in UNet++.

    Shape:
        logits (B, out_channels, *S), label (B, regions, *S) of zeros and ones or (B, 1, *S) of
        class numbers -> scalar
    """

    def __init__(
        self,
        task: TaskEntry = None,
        dice: float = 1.0,
        cross_entropy: float = 1.0,
        squared: bool = False,
        smooth: float = 1e-5,
    ) -> None:
        super().__init__()
        self.dice, self.dice_weight = SoftDice(task, squared, smooth), dice
        self.cross_entropy, self.cross_entropy_weight = CrossEntropy(task), cross_entropy

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        dice, entropy = self.dice(logits, label), self.cross_entropy(logits, label)
        self.keep(dice=dice, cross_entropy=entropy)
        return self.dice_weight * dice + self.cross_entropy_weight * entropy
