"""No New-Net: a plain U-Net, trained well (Isensee et al., 2018, arXiv:1809.10483)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from monai.networks.blocks import Convolution, UpSample
from monai.networks.layers.factories import Conv, Pool
from torch import Tensor, nn

from pipeline.networks.blocks import check_size


class NoNewNet(nn.Module):
    """U-Net that halves its channels before each upsampling, not after.

    Wide maps never meet the fine grid, which is what lets a 128x128x128 patch train in little
    memory. Every convolution is followed by instance norm and leaky ReLU.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: classes or regions to segment.
        features: channels of each resolution, finest first.

    Shape:
        (B, in_channels, *S) -> logits (B, out_channels, *S), with every S a multiple of
        ``divisor``.

    Raises:
        ValueError: a size breaks the rule above, or is below ``smallest`` in training. In
            evaluation one size of ``smallest`` is enough: instance norm needs two voxels at the
            coarsest resolution.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        features: Sequence[int] = (30, 60, 120, 240, 480),
    ) -> None:
        super().__init__()
        self.divisor = 2 ** (len(features) - 1)
        self.smallest = 2 * self.divisor
        self.one_voxel = self.divisor**spatial_dims

        *finer, bottom = features
        self.stem = ConvPair(spatial_dims, in_channels, features[0], features[0])
        self.pool = Pool["max", spatial_dims](kernel_size=2, stride=2)
        self.downs = nn.ModuleList(
            ConvPair(spatial_dims, fine, coarse, coarse) for fine, coarse in pairwise(finer)
        )
        self.bottleneck = ConvPair(spatial_dims, finer[-1], bottom, finer[-1])
        leaving = [features[0], *finer[:-1]]  # channels that leave each decoder, finest first
        self.ups = nn.ModuleList(  # coarsest first: the order in which forward meets them
            Up(spatial_dims, channels, out)
            for channels, out in zip(finer[::-1], leaving[::-1], strict=True)
        )
        self.head = Conv["conv", spatial_dims](features[0], out_channels, kernel_size=1)

    def forward(self, image: Tensor) -> Tensor:
        strict = self.training or image[0, 0].numel() == self.one_voxel
        check_size(list(image.shape[2:]), self.divisor, self.smallest if strict else self.divisor)
        x = self.stem(image)
        skips = [x]
        for down in self.downs:
            x = down(self.pool(x))
            skips.append(x)
        x = self.bottleneck(self.pool(x))
        for up in self.ups:
            x = up(x, skips.pop())
        return self.head(x)


class ConvPair(nn.Sequential):
    """Two 3-wide convolutions, each with instance norm and leaky ReLU."""

    def __init__(
        self, spatial_dims: int, in_channels: int, mid_channels: int, out_channels: int
    ) -> None:
        super().__init__(
            *(
                Convolution(
                    spatial_dims,
                    fan_in,
                    fan_out,
                    kernel_size=3,
                    norm=("instance", {"affine": True}),
                    act=("leakyrelu", {"negative_slope": 0.01, "inplace": True}),
                    adn_ordering="NA",
                )
                for fan_in, fan_out in pairwise((in_channels, mid_channels, out_channels))
            )
        )


class Up(nn.Module):
    """Double the resolution linearly, join the skip, then convolve down to the next width."""

    def __init__(self, spatial_dims: int, channels: int, out_channels: int) -> None:
        super().__init__()
        self.upsample = UpSample(
            spatial_dims, channels, channels, mode="nontrainable", align_corners=False
        )
        self.pair = ConvPair(spatial_dims, 2 * channels, channels, out_channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.pair(torch.cat([skip, self.upsample(x)], dim=1))
