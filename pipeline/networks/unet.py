"""U-Net: biomedical image segmentation (Ronneberger et al., 2015, arXiv:1505.04597)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from monai.networks.blocks import UpSample
from monai.networks.layers.factories import Conv, Pool
from torch import Tensor, nn

from pipeline.networks.blocks import ConvStack, center_crop, check_size, initialise


class UNet(nn.Module):
    """Contracting and expanding path joined by skips (figure 1 of the paper).

    Departs from the paper: convolutions are padded by default, so that the logits lie on the grid
    of the image, and normalised, so that it trains at a larger learning rate; ``padding="valid"``
    and ``norm=None`` are the paper's. Nothing is dropped out at the end of the contracting path.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: classes or regions to segment.
        features: channels of each resolution, finest first.
        norm: MONAI's name of the norm before each ReLU, or None.
        padding: "same", or "valid" for unpadded convolutions.
        upsample: "deconv" for 2-wide up-convolutions, or "linear" for interpolation after a 1-wide
            convolution; both give the channels of the skip.

    Shape:
        (B, in_channels, *S) -> logits (B, out_channels, *S), with every S a multiple of
        ``divisor``. Valid: every S is 60 + a multiple of ``divisor`` (five resolutions), and the
        logits cover the S - 184 voxels in the middle (572x572 gives 388x388).

    Raises:
        ValueError: a size breaks the rule above, or is below ``smallest`` in training.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        features: Sequence[int] = (64, 128, 256, 512, 1024),
        norm: str | None = "batch",
        padding: Literal["same", "valid"] = "same",
        upsample: Literal["deconv", "linear"] = "deconv",
    ) -> None:
        super().__init__()
        self.divisor = 2 ** (len(features) - 1)
        self.valid = padding == "valid"
        # Unpadded, each resolution loses 4 voxels on the way down, and 8 are needed at the bottom.
        self.margin = 4 * (self.divisor - 1) if self.valid else 0
        voxels_at_the_bottom = 8 if self.valid else 2 if norm else 1
        self.smallest = self.margin + voxels_at_the_bottom * self.divisor

        def stack(*channels: int) -> ConvStack:
            return ConvStack(spatial_dims, channels, norm, padding)

        self.stem = stack(in_channels, features[0], features[0])
        self.pool = Pool["max", spatial_dims](kernel_size=2, stride=2)
        self.downs = nn.ModuleList(
            stack(fine, coarse, coarse) for fine, coarse in pairwise(features)
        )
        self.ups = nn.ModuleList(  # coarsest first: the order in which forward meets them
            Up(spatial_dims, coarse, fine, upsample, stack(2 * fine, fine, fine))
            for coarse, fine in pairwise(features[::-1])
        )
        self.head = Conv["conv", spatial_dims](features[0], out_channels, kernel_size=1)
        initialise(self)

    def forward(self, image: Tensor) -> Tensor:
        smallest = self.smallest if self.training or self.valid else self.divisor
        check_size(list(image.shape[2:]), self.divisor, smallest, self.margin)
        x = self.stem(image)
        skips: list[Tensor] = []
        for down in self.downs:
            skips.append(x)
            x = down(self.pool(x))
        for up in self.ups:
            x = up(x, skips.pop())
        return self.head(x)


class Up(nn.Module):
    """Double the resolution, join the (cropped) skip, then convolve."""

    def __init__(
        self, spatial_dims: int, coarse: int, fine: int, upsample: str, stack: ConvStack
    ) -> None:
        super().__init__()
        self.upsample = UpSample(
            spatial_dims,
            coarse,
            fine,
            mode="deconv" if upsample == "deconv" else "nontrainable",
            align_corners=False,
        )
        self.stack = stack

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.upsample(x)
        return self.stack(torch.cat([center_crop(skip, list(x.shape[2:])), x], dim=1))
