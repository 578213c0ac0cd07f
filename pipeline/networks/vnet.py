"""V-Net: residual stages of wide convolutions (Milletari et al., 2016, arXiv:1606.04797)."""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil
from typing import Any, Literal

import torch
from monai.networks.blocks import Convolution
from monai.networks.layers.factories import Act, Conv
from torch import Tensor, nn

from pipeline.networks.blocks import check_size, initialise


class VNet(nn.Module):
    """Encoder-decoder whose every stage learns a residual (figure 2 of the paper).

    The released model differs from the paper's table 1: ``convs=(1, 1, 2, 3, 3)`` and
    ``head="released"`` give it.

    Departs from the paper: the first stage adds the image to its convolutions by repeating the
    channels of the image in turn, so that there may be any number of them.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: classes or regions to segment.
        features: channels of each resolution, finest first.
        convs: convolutions in the stages of each resolution, finest first.
        norm: MONAI's name of the norm after each convolution, or None.
        head: "paper" for a 1-wide convolution, "released" for a 5-wide one before it.

    Shape:
        (B, in_channels, *S) -> logits (B, out_channels, *S), with every S a multiple of
        ``divisor``.

    Raises:
        ValueError: ``features`` and ``convs`` differ in length; in ``forward`` a size breaks the
            rule above, or is below ``smallest`` in training.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        features: Sequence[int] = (16, 32, 64, 128, 256),
        convs: Sequence[int] = (1, 2, 3, 3, 3),
        norm: str | None = None,
        head: Literal["paper", "released"] = "paper",
    ) -> None:
        super().__init__()
        if len(features) != len(convs):
            raise ValueError(f"features has {len(features)} resolutions, convs {len(convs)}")
        self.divisor = 2 ** (len(features) - 1)
        self.smallest = 2 * self.divisor if norm else self.divisor
        self.stem = ResidualStage(spatial_dims, in_channels, features[0], convs[0], norm)
        self.downs = nn.ModuleList(
            Down(spatial_dims, fine, coarse, num_convs, norm)
            for (fine, coarse), num_convs in zip(pairwise(features), convs[1:], strict=True)
        )
        # What leaves a stage of the decoder is as wide as the upsampled and the skip together.
        widths = [features[-1], *(2 * fine for fine in features[-2::-1])]
        self.ups = nn.ModuleList(  # coarsest first: the order in which forward meets them
            Up(spatial_dims, coarse, fine, num_convs, norm)
            for (coarse, fine), num_convs in zip(pairwise(widths), convs[-2::-1], strict=True)
        )
        self.head = nn.Sequential()
        width = widths[-1]
        if head == "released":
            self.head.append(convolution(spatial_dims, width, out_channels, norm=None))
            width = out_channels
        self.head.append(Conv["conv", spatial_dims](width, out_channels, kernel_size=1))
        initialise(self, gain=1)  # the sums of the stages already enlarge what they pass on

    def forward(self, image: Tensor) -> Tensor:
        smallest = self.smallest if self.training else self.divisor
        check_size(list(image.shape[2:]), self.divisor, smallest)
        x = self.stem(image)
        skips: list[Tensor] = []
        for down in self.downs:
            skips.append(x)
            x = down(x)
        for up in self.ups:
            x = up(x, skips.pop())
        return self.head(x)


class ResidualStage(nn.Module):
    """``num_convs`` 5-wide convolutions, added to the input (repeated to as many channels)."""

    def __init__(
        self, spatial_dims: int, in_channels: int, channels: int, num_convs: int, norm: str | None
    ) -> None:
        super().__init__()
        self.channels = channels
        self.repeats = ceil(channels / in_channels)
        inputs = [in_channels, *[channels] * (num_convs - 1)]
        self.convs = nn.Sequential(
            *(convolution(spatial_dims, width, channels, norm) for width in inputs[:-1]),
            convolution(spatial_dims, inputs[-1], channels, norm, act=False),
        )
        self.act = Act["prelu"](channels)

    def forward(self, x: Tensor) -> Tensor:
        repeated = x if self.repeats == 1 else torch.cat([x] * self.repeats, dim=1)
        return self.act(self.convs(x) + repeated[:, : self.channels])


class Down(nn.Sequential):
    """Halve the resolution by a strided convolution, then learn a residual."""

    def __init__(
        self, spatial_dims: int, fine: int, coarse: int, num_convs: int, norm: str | None
    ) -> None:
        super().__init__(
            convolution(spatial_dims, fine, coarse, norm, kernel_size=2, strides=2, padding=0),
            ResidualStage(spatial_dims, coarse, coarse, num_convs, norm),
        )


class Up(nn.Module):
    """Double the resolution, join the skip, then learn a residual."""

    def __init__(
        self, spatial_dims: int, coarse: int, wide: int, num_convs: int, norm: str | None
    ) -> None:
        super().__init__()
        self.upsample = convolution(
            spatial_dims,
            coarse,
            wide // 2,
            norm,
            kernel_size=2,
            strides=2,
            padding=0,
            output_padding=0,
            is_transposed=True,
        )
        self.stage = ResidualStage(spatial_dims, wide, wide, num_convs, norm)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.stage(torch.cat([self.upsample(x), skip], dim=1))


def convolution(
    spatial_dims: int,
    in_channels: int,
    out_channels: int,
    norm: str | None,
    act: bool = True,
    kernel_size: int = 5,
    **options: Any,
) -> Convolution:
    """A convolution with norm (optional) and one PReLU a channel."""
    return Convolution(
        spatial_dims,
        in_channels,
        out_channels,
        kernel_size=kernel_size,
        norm=norm,
        act=("prelu", {"num_parameters": out_channels}) if act else None,
        adn_ordering="NA",
        **options,
    )
