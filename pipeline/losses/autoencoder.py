"""The loss of the autoencoder-regularised network (Myronenko, 2018, arXiv:1810.11654)."""

from math import prod

from torch import Tensor
from torch.nn import functional

from pipeline.losses.dice import SoftDice
from pipeline.losses.labels import TaskEntry, as_floats
from pipeline.losses.loss import Loss
from pipeline.networks import Autoencoded


class AutoencoderLoss(Loss):
    """Soft Dice with squared denominators, plus rebuilding the image, plus a Gaussian latent.

    Equations 1 to 4 of the paper: Dice + 0.1 L2 + 0.1 KL, where KL is the sum over the latent
    vector of mean ** 2 + variance - log(variance) - 1, divided by the number of voxels. The loss
    of a batch is the mean of its samples' losses.

    Departs from the paper: there, L2 is the squared distance of image and reconstruction; here it
    is divided by the number of values, so that it stays on the scale of Dice for every patch.

    Args:
        task: see ``pipeline.tasks.Task``; None to read labels by their shape.
        reconstruction: weight of L2.
        divergence: weight of KL.

    Shape:
        ``pipeline.networks.Autoencoded`` and (label, image) as ``pipeline.training.with_image``
        makes it -> scalar. With logits alone, as in evaluation, the loss is Dice, and the target
        may be the label alone.
    """

    def __init__(
        self, task: TaskEntry = None, reconstruction: float = 0.1, divergence: float = 0.1
    ) -> None:
        super().__init__()
        self.dice = SoftDice(task)
        self.reconstruction_weight = reconstruction
        self.divergence_weight = divergence

    def forward(
        self, output: Autoencoded | Tensor, target: tuple[Tensor, Tensor] | Tensor
    ) -> Tensor:
        if not isinstance(output, Autoencoded):
            dice: Tensor = self.dice(output, target if isinstance(target, Tensor) else target[0])
            self.keep(dice=dice)
            return dice
        label, image = target
        dice = self.dice(output.logits, label)
        reconstruction = functional.mse_loss(*as_floats(output.reconstruction, image))
        divergence = latent_divergence(output.mean, output.log_variance) / prod(image.shape[2:])
        self.keep(dice=dice, reconstruction=reconstruction, divergence=divergence)
        regularisation = self.reconstruction_weight * reconstruction
        return dice + regularisation + self.divergence_weight * divergence


def latent_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Twice the divergence of the latent Gaussian from the standard one, mean over samples.

    Shape:
        twice (B, latent) -> scalar
    """
    mean, log_variance = as_floats(mean, log_variance)
    return (mean**2 + log_variance.exp() - log_variance - 1).sum(dim=1).mean()
