"""One loss over several heads."""

from collections.abc import Sequence

from torch import Tensor, nn

from pipeline.errors import UserError
from pipeline.losses.loss import Loss, parts_of


class DeepSupervision(Loss):
    """Weighted mean of a loss over the heads of a network; equal weights as in UNet++, UNet 3+.

    Its parts are those of the first head and, as ``head_0``, ``head_1`` and so on, the loss of
    each head.

    Args:
        loss: of one head.
        weights: one a head, best head first; None for equal weights.

    Shape:
        list of logits (B, out_channels, *S), best head first, and a label -> scalar; with one
        tensor of logits simply ``loss``

    Raises:
        UserError: there are more or fewer weights than heads.
    """

    def __init__(self, loss: nn.Module, weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.loss = loss
        self.weights = weights

    def forward(self, output: Tensor | Sequence[Tensor], label: Tensor) -> Tensor:
        if isinstance(output, Tensor):
            value: Tensor = self.loss(output, label)
            self.keep(**parts_of(self.loss))
            return value
        weights = self.weights or [1.0] * len(output)
        if len(weights) != len(output):
            raise UserError(
                f"loss has {len(weights)} weights and the network {len(output)} heads: "
                "give as many weights as heads, or none"
            )
        values = [self.loss(output[0], label)]
        best = parts_of(self.loss)
        values += [self.loss(logits, label) for logits in output[1:]]
        self.keep(**best, **{f"head_{index}": value for index, value in enumerate(values)})
        weighted = [weight * value for weight, value in zip(weights, values, strict=True)]
        return sum(weighted[1:], start=weighted[0]) / sum(weights)
