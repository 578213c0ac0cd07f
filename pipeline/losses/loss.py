"""What all losses have in common."""

from torch import Tensor, nn


class Loss(nn.Module):
    """A loss that keeps the last value of each of its parts for who draws curves.

    Attributes:
        parts: by name, scalars without gradient and before they are weighted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.parts: dict[str, Tensor] = {}

    def keep(self, **parts: Tensor) -> None:
        """Keep these ``parts`` in place of those before."""
        self.parts = {name: value.detach() for name, value in parts.items()}


def parts_of(loss: nn.Module) -> dict[str, Tensor]:
    """The parts that ``loss`` kept; none if it keeps none, as the losses of torch and MONAI."""
    return dict(getattr(loss, "parts", {}))
