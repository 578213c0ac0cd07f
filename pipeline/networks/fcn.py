"""FCN: fully convolutional networks for segmentation (Long et al., 2015, arXiv:1411.4038)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from monai.networks.blocks import Convolution
from monai.networks.layers.factories import Conv, Norm, Pool
from torch import Tensor, nn

from pipeline.networks.blocks import ConvStack, check_size, initialise

VGG16 = (2, 2, 3, 3, 3)
"""Convolutions of each block of the trunk."""

CROPS = {32: (19,), 16: (5, 27), 8: (5, 9, 31)}
"""Where the paper crops, by stride: each skip that joins, then the logits (voxels)."""

BORDER = 99
"""Voxels that the paper pads the image by, with the 1 that the first convolution pads: 100."""


class FCN(nn.Module):
    """VGG16 made fully convolutional, whose coarse scores are refined by those of finer blocks.

    Scores double in size and join those of the next finer block, until the rest is upsampled at
    once (figure 3 of the paper).

    Departs from the paper: convolutions are padded by default, which aligns the grids of all blocks
    and spares the paper's border of 100 voxels (``padding="paper"``). No weights come from a
    trained VGG16, so score layers start at random rather than at zero. Up-convolutions start as
    linear interpolation and are learnt.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: classes or regions to segment.
        features: channels of the five blocks, finest first, then of the two fully convolutional
            layers.
        stride: 32, 16 or 8, the stride of the finest block that joins the decoder.
        fc_kernel: width of the first fully convolutional layer, odd; 7 is costly in 3D.
        padding: "same", or "paper" for a border of 100 voxels, with ``fc_kernel=7``.
        decoder: "score" as in the paper, or "deconvolution" for up-convolutions of feature maps,
            normalised, without fully convolutional layers.

    Shape:
        (B, in_channels, *S) -> logits (B, out_channels, *S), with every S a multiple of
        ``divisor``, which is 32, or 1 with the paper's padding.

    Raises:
        ValueError: the options do not go together; in ``forward`` a size breaks the rule above.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        features: Sequence[int] = (64, 128, 256, 512, 512, 4096),
        stride: Literal[32, 16, 8] = 8,
        fc_kernel: int = 7,
        padding: Literal["same", "paper"] = "same",
        decoder: Literal["score", "deconvolution"] = "score",
    ) -> None:
        super().__init__()
        if stride not in CROPS:
            raise ValueError(f"stride={stride}: give 32, 16 or 8")
        if padding == "paper" and (decoder != "score" or fc_kernel != 7):
            raise ValueError("padding='paper' needs decoder='score' and fc_kernel=7")
        padded = padding == "same"
        self.divisor = 32 if padded else 1
        self.smallest = self.divisor
        self.border = [0 if padded else BORDER] * (2 * spatial_dims)
        self.blocks = nn.ModuleList(
            Block(spatial_dims, [fine, *[coarse] * num_convs], ceil_mode=not padded)
            for (fine, coarse), num_convs in zip(
                pairwise([in_channels, *features[:5]]), VGG16, strict=True
            )
        )
        initialise(self.blocks)
        self.decoder = (
            ScoreDecoder(spatial_dims, features, out_channels, stride, fc_kernel, padded)
            if decoder == "score"
            else DeconvolutionDecoder(spatial_dims, features, out_channels, stride)
        )

    def forward(self, image: Tensor) -> Tensor:
        check_size(list(image.shape[2:]), self.divisor, self.smallest)
        x = nn.functional.pad(image, self.border)
        pools: list[Tensor] = []
        for block in self.blocks:
            x = block(x)
            pools.append(x)
        return crop(self.decoder(pools), self.decoder.offset, list(image.shape[2:]))


class Block(nn.Sequential):
    """Convolutions of VGG16, then max-pooling."""

    def __init__(self, spatial_dims: int, channels: Sequence[int], ceil_mode: bool) -> None:
        super().__init__(
            ConvStack(spatial_dims, channels, norm=None),
            Pool["max", spatial_dims](kernel_size=2, stride=2, ceil_mode=ceil_mode),
        )


class ScoreDecoder(nn.Module):
    """Score the coarsest block and the skips, sum the scores, and upsample the sum."""

    def __init__(
        self,
        spatial_dims: int,
        features: Sequence[int],
        out_channels: int,
        stride: int,
        fc_kernel: int,
        padded: bool,
    ) -> None:
        super().__init__()
        *offsets, self.offset = [0 if padded else offset for offset in CROPS[stride]]
        self.fc = nn.Sequential(
            *(
                Convolution(
                    spatial_dims,
                    channels,
                    features[5],
                    kernel_size=kernel_size,
                    norm=None,
                    act="relu",
                    dropout=0.5,
                    adn_ordering="AD",
                    padding=None if padded else 0,
                )
                for channels, kernel_size in ((features[4], fc_kernel), (features[5], 1))
            )
        )
        initialise(self.fc)
        self.score = Conv["conv", spatial_dims](features[5], out_channels, kernel_size=1)
        self.joins = nn.ModuleList(  # coarsest first: the order in which forward meets them
            Join(spatial_dims, channels, out_channels, offset, padded)
            for channels, offset in zip(features[3::-1], offsets, strict=False)
        )
        self.upsample = up_convolution(spatial_dims, out_channels, stride, padded)

    def forward(self, pools: list[Tensor]) -> Tensor:
        scores = self.score(self.fc(pools.pop()))
        for join in self.joins:
            scores = join(scores, pools.pop())
        return self.upsample(scores)


class Join(nn.Module):
    """Double the resolution of the scores and add those of the skip."""

    def __init__(
        self, spatial_dims: int, channels: int, out_channels: int, offset: int, padded: bool
    ) -> None:
        super().__init__()
        self.offset = offset
        self.upsample = up_convolution(spatial_dims, out_channels, 2, padded)
        self.score = Conv["conv", spatial_dims](channels, out_channels, kernel_size=1)

    def forward(self, scores: Tensor, skip: Tensor) -> Tensor:
        scores = self.upsample(scores)
        return scores + crop(self.score(skip), self.offset, list(scores.shape[2:]))


class DeconvolutionDecoder(nn.Module):
    """Five times double the resolution, add the skip while there is one, and normalise."""

    def __init__(
        self, spatial_dims: int, features: Sequence[int], out_channels: int, stride: int
    ) -> None:
        super().__init__()
        self.offset = 0
        self.num_joins = len(CROPS[stride]) - 1
        channels = [*features[4::-1], features[0] // 2]
        self.ups = nn.ModuleList(
            Convolution(
                spatial_dims,
                coarse,
                fine,
                strides=2,
                kernel_size=3,
                norm=None,
                act="relu",
                adn_ordering="A",
                is_transposed=True,
            )
            for coarse, fine in pairwise(channels)
        )
        self.norms = nn.ModuleList(Norm["batch", spatial_dims](width) for width in channels[1:])
        self.head = Conv["conv", spatial_dims](channels[-1], out_channels, kernel_size=1)

    def forward(self, pools: list[Tensor]) -> Tensor:
        x = pools.pop()
        for i, (up, norm) in enumerate(zip(self.ups, self.norms)):  # noqa: B905 (TorchScript)
            x = up(x)
            if i < self.num_joins:
                x = x + pools.pop()
            x = norm(x)
        return self.head(x)


def up_convolution(spatial_dims: int, channels: int, scale: int, padded: bool) -> nn.Module:
    """A transposed convolution that starts as linear interpolation, each channel by itself."""
    up = Conv["convtrans", spatial_dims](
        channels,
        channels,
        kernel_size=2 * scale,
        stride=scale,
        padding=scale // 2 if padded else 0,
        bias=False,
    )
    line = 1 - (torch.arange(2 * scale) - (scale - 0.5)).abs() / scale
    kernel = line
    for _ in range(spatial_dims - 1):
        kernel = kernel[..., None] * line
    with torch.no_grad():
        up.weight.zero_()
        for channel in range(channels):
            up.weight[channel, channel] = kernel
    return up


def crop(x: Tensor, offset: int, sizes: list[int]) -> Tensor:
    """The part of ``x`` (B, C, *S) that begins at ``offset`` and has the spatial ``sizes``."""
    for axis, size in enumerate(sizes):
        x = x.narrow(axis + 2, offset, size)
    return x
