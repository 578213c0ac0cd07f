"""ResUNet++: residual U-Net with three kinds of attention (Jha et al., 2019, arXiv:1911.07067)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from monai.networks.blocks import Convolution
from monai.networks.layers.factories import Conv, Norm, Pool
from torch import Tensor, nn

from pipeline.networks.blocks import check_size

DILATIONS = (6, 12, 18)
"""Of the pyramid's convolutions, beside the undilated one."""

REDUCTION = 8
"""By how much squeeze and excitation narrows the channels."""


class ResUNetPlusPlus(nn.Module):
    """Pre-activation residual U-Net with attention in every block.

    Every residual block weighs its channels (squeeze and excitation). A pyramid of dilated
    convolutions is the bridge to the decoder and again what precedes the head. Before each
    upsampling, attention weighs the decoder's map by what the finer skip knows. As in the authors'
    code, those weights are unbounded: no sigmoid.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: classes or regions to segment.
        features: channels of each encoder block, finest first, then of the bridge. The bridge
            keeps the resolution of the block before it.

    Shape:
        (B, in_channels, *S) -> logits (B, out_channels, *S), with every S a multiple of
        ``divisor``.

    Raises:
        ValueError: a size breaks the rule above, or is below ``smallest`` in training.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        features: Sequence[int] = (16, 32, 64, 128, 256),
    ) -> None:
        super().__init__()
        self.divisor = 2 ** (len(features) - 2)
        self.smallest = 2 * self.divisor  # batch norm needs two voxels at the coarsest resolution

        *encoder, bridge = features
        self.stem = ResidualBlock(spatial_dims, in_channels, features[0], activated=False)
        self.downs = nn.ModuleList(
            ResidualBlock(spatial_dims, fine, coarse, stride=2)
            for fine, coarse in pairwise(encoder)
        )
        self.bridge = DilatedPyramid(spatial_dims, encoder[-1], bridge)
        coarsest_first = features[::-1]
        self.ups = nn.ModuleList(
            Up(spatial_dims, coarse, skip, out)
            for coarse, out, skip in zip(
                coarsest_first[:-2], coarsest_first[1:-1], coarsest_first[2:], strict=True
            )
        )
        self.head = nn.Sequential(
            DilatedPyramid(spatial_dims, features[1], features[0]),
            Conv["conv", spatial_dims](features[0], out_channels, kernel_size=1),
        )

    def forward(self, image: Tensor) -> Tensor:
        smallest = self.smallest if self.training else self.divisor
        check_size(list(image.shape[2:]), self.divisor, smallest)
        x = self.stem(image)
        skips: list[Tensor] = []
        for down in self.downs:
            skips.append(x)
            x = down(x)
        x = self.bridge(x)
        for up in self.ups:
            x = up(x, skips.pop())
        return self.head(x)


class ResidualBlock(nn.Module):
    """Two 3-wide convolutions added to a point-wise shortcut, then squeeze and excitation.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: 2 halves the resolution.
        activated: whether norm and ReLU precede the first convolution; not if it sees the image.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        activated: bool = True,
    ) -> None:
        super().__init__()
        first = activated_conv(spatial_dims, in_channels, out_channels, stride)
        self.convs = nn.Sequential(
            first if activated else first[-1],
            activated_conv(spatial_dims, out_channels, out_channels),
        )
        self.shortcut = nn.Sequential(
            Conv["conv", spatial_dims](in_channels, out_channels, kernel_size=1, stride=stride),
            Norm["batch", spatial_dims](out_channels),
        )
        self.excite = SqueezeExcitation(spatial_dims, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.excite(self.shortcut(x) + self.convs(x))


class SqueezeExcitation(nn.Module):
    """Weigh each channel, in [0, 1], by the means of all."""

    def __init__(self, spatial_dims: int, channels: int) -> None:
        super().__init__()
        squeezed = max(1, channels // REDUCTION)
        self.weights = nn.Sequential(
            Pool["adaptiveavg", spatial_dims](1),
            Conv["conv", spatial_dims](channels, squeezed, kernel_size=1, bias=False),
            nn.ReLU(inplace=True),
            Conv["conv", spatial_dims](squeezed, channels, kernel_size=1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weights(x)


class DilatedPyramid(nn.Module):
    """Atrous spatial pyramid pooling: sum of 3-wide convolutions that are dilated more and more."""

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int) -> None:
        super().__init__()

        def dilated(dilation: int) -> Convolution:
            return Convolution(
                spatial_dims,
                in_channels,
                out_channels,
                kernel_size=3,
                dilation=dilation,
                norm="batch",
                act=None,
                adn_ordering="N",
            )

        self.near = dilated(1)
        self.far = nn.ModuleList(dilated(dilation) for dilation in DILATIONS)
        self.merge = Conv["conv", spatial_dims](out_channels, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        total = self.near(x)
        for conv in self.far:
            total = total + conv(x)
        return self.merge(total)


class Up(nn.Module):
    """Weigh the map by attention, double its resolution, join the skip, then learn a residual."""

    def __init__(
        self, spatial_dims: int, in_channels: int, skip_channels: int, out_channels: int
    ) -> None:
        super().__init__()
        self.attention = Attention(spatial_dims, in_channels, skip_channels)
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.block = ResidualBlock(spatial_dims, in_channels + skip_channels, out_channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.upsample(self.attention(x, skip))
        return self.block(torch.cat([x, skip], dim=1))


class Attention(nn.Module):
    """Weigh a map point by point by itself and a skip of twice its resolution."""

    def __init__(self, spatial_dims: int, channels: int, skip_channels: int) -> None:
        super().__init__()
        self.from_map = activated_conv(spatial_dims, channels, channels)
        self.from_skip = nn.Sequential(
            activated_conv(spatial_dims, skip_channels, channels),
            Pool["max", spatial_dims](kernel_size=2, stride=2),
        )
        self.merge = activated_conv(spatial_dims, channels, channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return x * self.merge(self.from_map(x) + self.from_skip(skip))


def activated_conv(
    spatial_dims: int, in_channels: int, out_channels: int, stride: int = 1
) -> nn.Sequential:
    """Batch norm, ReLU and a 3-wide convolution, in this order."""
    return nn.Sequential(
        Norm["batch", spatial_dims](in_channels),
        nn.ReLU(inplace=True),
        Conv["conv", spatial_dims](
            in_channels, out_channels, kernel_size=3, stride=stride, padding=1
        ),
    )
