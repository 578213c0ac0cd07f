"""The hybrid loss of UNet 3+ (Huang et al., 2020, arXiv:2004.08790, section 2.2)."""

from monai.losses import DiceLoss
from torch import Tensor

from pipeline.losses.entropy import focal
from pipeline.losses.labels import TaskEntry, as_floats, foreground, is_exclusive, known
from pipeline.losses.loss import Loss
from pipeline.losses.similarity import multi_scale_similarity, num_scales


class Hybrid(Loss):
    """Sum of a focal loss for voxels, 1 - MS-SSIM for patches and 1 - IoU for the whole.

    MS-SSIM and IoU compare the probabilities of each region, or of each class but the background,
    with the label. The five scales of MS-SSIM need 176 voxels along every axis, because its
    window of 11 must fit into a sixteenth of them. A smaller patch has as many scales as fit (88
    voxels four, 44 three, 22 two, 11 one), their weights made to sum to 1; below 11 voxels the
    loss is focal + IoU, and there is no part ``ms_ssim``. The loss of a batch is the mean of its
    samples' losses.

    Args:
        task: see ``pipeline.tasks.Task``; None to read labels by their shape.
        gamma: how much the focal loss turns to what is wrong; at least 1.

    Shape:
        logits (B, out_channels, *S), label (B, regions, *S) of zeros and ones or (B, 1, *S) of
        class numbers -> scalar
    """

    def __init__(self, task: TaskEntry = None, gamma: float = 2.0) -> None:
        super().__init__()
        self.task = known(task)
        self.gamma = gamma
        self.iou = DiceLoss(jaccard=True)

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        logits, label = as_floats(logits, label)
        exclusive = is_exclusive(self.task, logits, label)
        probabilities, truth = foreground(logits, label, exclusive)
        parts = {
            "focal": focal(logits, label, exclusive, self.gamma),
            "iou": self.iou(probabilities, truth),
        }
        if num_scales(logits.shape[2:]) > 0:
            parts["ms_ssim"] = 1 - multi_scale_similarity(probabilities, truth).mean()
        self.keep(**parts)
        return sum(parts.values(), start=logits.new_zeros(()))
