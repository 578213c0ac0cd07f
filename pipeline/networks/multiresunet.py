"""MultiResUNet: U-Net of several scales a block (Ibtehaz and Rahman, 2020, arXiv:1902.04049)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from monai.networks.layers.factories import Conv, Norm, Pool
from torch import Tensor, nn

from pipeline.networks.blocks import check_size

SHARES = (0.167, 0.333, 0.5)
"""Of a MultiRes block's width, what each of its three convolutions gives."""


class MultiResUNet(nn.Module):
    """U-Net of MultiRes blocks, whose skips go through residual paths.

    The finer a skip, the longer its path: four residual convolutions at the finest of five
    resolutions, one at the second coarsest. As in the authors' Keras code, convolutions have no
    bias and the batch norm behind each shifts but does not scale; as in the paper, the head has no
    norm.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: classes or regions to segment.
        features: channels of the U-Net that is to be matched, finest first.
        alpha: width of a MultiRes block, as a multiple of ``features``.

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
        features: Sequence[int] = (32, 64, 128, 256, 512),
        alpha: float = 1.67,
    ) -> None:
        super().__init__()
        self.divisor = 2 ** (len(features) - 1)
        self.smallest = 2 * self.divisor  # batch norm needs two voxels at the coarsest resolution

        scales = [scale_channels(alpha * feature) for feature in features]
        self.stem = MultiResBlock(spatial_dims, in_channels, scales[0])
        self.pool = Pool["max", spatial_dims](kernel_size=2, stride=2)
        self.downs = nn.ModuleList(
            MultiResBlock(spatial_dims, sum(fine), coarse) for fine, coarse in pairwise(scales)
        )
        self.ups = nn.ModuleList(  # coarsest first: the order in which forward meets them
            Up(spatial_dims, sum(coarse), features[level], fine, len(scales) - 1 - level)
            for level, (fine, coarse) in reversed(list(enumerate(pairwise(scales))))
        )
        self.head = Conv["conv", spatial_dims](sum(scales[0]), out_channels, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        smallest = self.smallest if self.training else self.divisor
        check_size(list(image.shape[2:]), self.divisor, smallest)
        x = self.stem(image)
        skips: list[Tensor] = []
        for down in self.downs:
            skips.append(x)
            x = down(self.pool(x))
        for up in self.ups:
            x = up(x, skips.pop())
        return self.head(x)


def scale_channels(width: float) -> list[int]:
    """Channels of a MultiRes block's convolutions, rounded down but not to none.

    Examples:
        >>> scale_channels(1.67 * 32)
        [8, 17, 26]
    """
    return [max(1, int(width * share)) for share in SHARES]


class MultiResBlock(nn.Module):
    """Three convolutions in a row, which see 3, 5 and 7 voxels, joined and added to a shortcut.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the input.
        scales: channels that each convolution gives; the block gives their sum.
    """

    def __init__(self, spatial_dims: int, in_channels: int, scales: Sequence[int]) -> None:
        super().__init__()
        width = sum(scales)
        self.shortcut = conv_shift(spatial_dims, in_channels, width, kernel_size=1)
        self.convs = nn.ModuleList(
            conv_shift_relu(spatial_dims, *channels)
            for channels in pairwise([in_channels, *scales])
        )
        self.norm = Norm["batch", spatial_dims](width)
        self.merge = nn.Sequential(nn.ReLU(inplace=True), Norm["batch", spatial_dims](width))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.shortcut(x)
        scales: list[Tensor] = []
        for conv in self.convs:
            x = conv(x)
            scales.append(x)
        return self.merge(shortcut + self.norm(torch.cat(scales, dim=1)))


class Up(nn.Module):
    """Double the resolution, join the skip at the end of its path, then convolve."""

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        feature: int,
        scales: Sequence[int],
        path_length: int,
    ) -> None:
        super().__init__()
        self.upsample = Conv["convtrans", spatial_dims](
            in_channels, feature, kernel_size=2, stride=2
        )
        path = [sum(scales)] + [feature] * path_length
        self.path = nn.Sequential(
            *(ResidualConv(spatial_dims, *channels) for channels in pairwise(path))
        )
        self.block = MultiResBlock(spatial_dims, 2 * feature, scales)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.block(torch.cat([self.upsample(x), self.path(skip)], dim=1))


class ResidualConv(nn.Module):
    """One link of a residual path: a 3-wide convolution, added to a point-wise shortcut."""

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.shortcut = conv_shift(spatial_dims, in_channels, out_channels, kernel_size=1)
        self.conv = conv_shift_relu(spatial_dims, in_channels, out_channels)
        self.merge = nn.Sequential(nn.ReLU(inplace=True), Norm["batch", spatial_dims](out_channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.merge(self.shortcut(x) + self.conv(x))


def conv_shift(
    spatial_dims: int, in_channels: int, out_channels: int, kernel_size: int
) -> nn.Sequential:
    """A convolution and a batch norm that shifts only: its scale is a buffer, and stays one."""
    norm = Norm["batch", spatial_dims](out_channels)
    scale = norm.weight.detach()
    del norm.weight
    norm.register_buffer("weight", scale)
    conv = Conv["conv", spatial_dims](
        in_channels, out_channels, kernel_size=kernel_size, padding=kernel_size // 2, bias=False
    )
    return nn.Sequential(conv, norm)


def conv_shift_relu(spatial_dims: int, in_channels: int, out_channels: int) -> nn.Sequential:
    """A 3-wide convolution, its norm without scale, and ReLU."""
    return nn.Sequential(
        *conv_shift(spatial_dims, in_channels, out_channels, kernel_size=3), nn.ReLU(inplace=True)
    )
