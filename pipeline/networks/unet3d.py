"""3D U-Net: dense volumetric segmentation (Çiçek et al., 2016, arXiv:1606.06650)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from monai.networks.layers.factories import Conv, Pool
from torch import Tensor, nn

from pipeline.networks.blocks import ConvStack, center_crop, check_size


class UNet3D(nn.Module):
    """Analysis and synthesis path of four resolutions (figure 2 of the paper).

    Channels double before each max-pooling, which avoids bottlenecks, and an up-convolution keeps
    the number of its channels.

    Departs from the paper: convolutions are padded by default, so that the logits lie on the grid
    of the image; ``padding="valid"`` is the paper's. That it learns from a few
    labelled slices is a matter of the loss, and no loss here leaves out voxels.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: classes or regions to segment.
        features: channels that leave each resolution, finest first.
        norm: MONAI's name of the norm before each ReLU, or None.
        padding: "same", or "valid" for unpadded convolutions.

    Shape:
        (B, in_channels, *S) -> logits (B, out_channels, *S), with every S a multiple of
        ``divisor``. Valid: every S is 28 + a multiple of ``divisor`` (four resolutions), and the
        logits cover the S - 88 voxels in the middle (132x132x116 gives 44x44x28).

    Raises:
        ValueError: a size breaks the rule above, or is below ``smallest`` in training.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        features: Sequence[int] = (64, 128, 256, 512),
        norm: str | None = "batch",
        padding: Literal["same", "valid"] = "same",
    ) -> None:
        super().__init__()
        self.divisor = 2 ** (len(features) - 1)
        self.valid = padding == "valid"
        # Unpadded, each resolution loses 4 voxels on the way down, and 8 are needed at the bottom.
        self.margin = 4 * (self.divisor - 1) if self.valid else 0
        self.smallest = self.margin + (8 if self.valid else 2) * self.divisor

        def stack(*channels: int) -> ConvStack:
            return ConvStack(spatial_dims, channels, norm, padding)

        self.stem = stack(in_channels, features[0] // 2, features[0])
        self.pool = Pool["max", spatial_dims](kernel_size=2, stride=2)
        self.downs = nn.ModuleList(stack(fine, fine, coarse) for fine, coarse in pairwise(features))
        self.ups = nn.ModuleList(  # coarsest first: the order in which forward meets them
            Up(spatial_dims, coarse, stack(coarse + fine, fine, fine))
            for coarse, fine in pairwise(features[::-1])
        )
        self.head = Conv["conv", spatial_dims](features[0], out_channels, kernel_size=1)

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

    def __init__(self, spatial_dims: int, channels: int, stack: ConvStack) -> None:
        super().__init__()
        self.upsample = Conv["convtrans", spatial_dims](channels, channels, kernel_size=2, stride=2)
        self.stack = stack

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.upsample(x)
        return self.stack(torch.cat([center_crop(skip, list(x.shape[2:])), x], dim=1))
