"""Parts that two or more of the networks use."""

from collections.abc import Sequence
from math import prod, sqrt

from monai.networks.blocks import Convolution
from torch import Tensor, nn


def check_size(sizes: list[int], divisor: int, smallest: int, margin: int = 0) -> None:
    """Refuse spatial ``sizes`` (voxels) that a network cannot halve and double back.

    Args:
        sizes: of the image.
        divisor: what every size must be a multiple of, once ``margin`` is taken off.
        smallest: the smallest legal size.
        margin: voxels that unpadded convolutions take off on the way to the coarsest resolution.

    Raises:
        ValueError: a size breaks the rule.
    """
    for size in sizes:
        if (size - margin) % divisor != 0:
            rule = (
                f"a multiple of {divisor}" if margin == 0 else f"{margin} + a multiple of {divisor}"
            )
            raise ValueError(f"size {size} is not {rule}: pad or crop the image")
        if size < smallest:
            raise ValueError(
                f"size {size} is below {smallest}, the smallest that this network takes"
            )


def center_crop(x: Tensor, sizes: list[int]) -> Tensor:
    """The middle of ``x`` (B, C, *S), cut to the spatial ``sizes`` (voxels)."""
    for axis, size in enumerate(sizes):
        x = x.narrow(axis + 2, (x.shape[axis + 2] - size) // 2, size)
    return x


def initialise(network: nn.Module, gain: float = 2.0) -> None:
    """Draw every convolution so that signals keep their size, without norm too.

    Source: He et al., 2015, equation 10. Biases start at zero.

    Args:
        network: whose convolutions are drawn.
        gain: how much a convolution multiplies the variance of its input by: 2 makes up for the
            ReLU after it. Up-convolutions, which no ReLU follows, get 1.
    """
    for module in network.modules():
        if isinstance(module, nn.modules.conv._ConvNd):
            inputs = module.weight.numel() / module.out_channels
            if module.transposed:
                inputs /= prod(module.stride)
            nn.init.normal_(module.weight, std=sqrt((1 if module.transposed else gain) / inputs))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class ConvStack(nn.Sequential):
    """3-wide convolutions in a row, each with norm (optional) and ReLU.

    Args:
        spatial_dims: 2 or 3.
        channels: of the input, then of each convolution's output.
        norm: MONAI's name of the norm between convolution and ReLU, or None.
        padding: "same" keeps the size, "valid" takes one voxel off each border a convolution.

    Shape:
        (B, channels[0], *S) -> (B, channels[-1], *S), or S - 2 a convolution if valid.
    """

    def __init__(
        self,
        spatial_dims: int,
        channels: Sequence[int],
        norm: str | None = "batch",
        padding: str = "same",
    ) -> None:
        super().__init__(
            *(
                Convolution(
                    spatial_dims,
                    channels[i],
                    channels[i + 1],
                    kernel_size=3,
                    norm=norm,
                    act=("relu", {"inplace": True}),
                    adn_ordering="NA",
                    padding=1 if padding == "same" else 0,
                )
                for i in range(len(channels) - 1)
            )
        )
