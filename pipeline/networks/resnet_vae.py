"""Autoencoder-regularised residual network (Myronenko, 2018, arXiv:1810.11654)."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import gcd, prod
from typing import NamedTuple

import torch
from monai.networks.blocks import UpSample
from monai.networks.layers.factories import Conv, Dropout
from torch import Tensor, nn

from pipeline.networks.blocks import check_size

LATENT = 128
"""Length of the vector that the image is rebuilt from."""

REDUCED = 16
"""Channels of the map that the dense layers read and write."""


class Autoencoded(NamedTuple):
    """What training gives.

    Attributes:
        logits: (B, out_channels, *S).
        reconstruction: of the image, (B, in_channels, *S).
        mean: of the latent Gaussian, (B, 128).
        log_variance: of the latent Gaussian, (B, 128).
    """

    logits: Tensor
    reconstruction: Tensor
    mean: Tensor
    log_variance: Tensor


class ResNetVAE(nn.Module):
    """Residual encoder whose bottleneck must also rebuild the image (figure 1 of the paper).

    The variational decoder works in training alone and is bound to one size of image:
    ``image_size``, or else the size of the first image seen in training or of a state dict that is
    loaded before. Evaluation is bound to none. ``DistributedDataParallel`` and whoever compares
    state dicts need ``image_size``.

    Departs from the paper: the dense layer gives the logarithm of the variance in place of the
    standard deviation, which keeps the latter positive. Where the paper leaves it open, the
    image is rebuilt from a map of 16 channels.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: classes or regions to segment.
        features: channels of each resolution, finest first; even.
        depths: residual blocks in the encoder at each resolution, finest first.
        dropout: probability in [0, 1] that a channel is dropped after the first convolution.
        image_size: of the images in training, voxels; None to take it from the first one.

    Shape:
        (B, in_channels, *S) -> logits (B, out_channels, *S), in training ``Autoencoded``, with
        every S a multiple of ``divisor``: 16 in training, 8 in evaluation (four resolutions).

    Raises:
        ValueError: ``features`` and ``depths`` differ in length, a size breaks the rule above, or
            training meets another size than its own.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        features: Sequence[int] = (32, 64, 128, 256),
        depths: Sequence[int] = (1, 2, 2, 4),
        dropout: float = 0.2,
        image_size: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if len(features) != len(depths):
            raise ValueError(f"{len(features)} features for {len(depths)} depths")
        self.smallest = 2 ** len(features)  # the variational decoder halves once more

        self.stem = nn.Sequential(
            conv3(spatial_dims, in_channels, features[0]),
            Dropout["dropout", spatial_dims](dropout),
            *(ResidualBlock(spatial_dims, features[0]) for _ in range(depths[0])),
        )
        self.downs = nn.ModuleList(
            nn.Sequential(
                conv3(spatial_dims, fine, coarse, stride=2),
                *(ResidualBlock(spatial_dims, coarse) for _ in range(depth)),
            )
            for (fine, coarse), depth in zip(pairwise(features), depths[1:], strict=True)
        )
        self.ups = nn.ModuleList(  # coarsest first: the order in which forward meets them
            Up(spatial_dims, coarse, fine) for coarse, fine in pairwise(features[::-1])
        )
        self.head = Conv["conv", spatial_dims](features[0], out_channels, kernel_size=1)
        self.autoencoder = VariationalDecoder(spatial_dims, features, in_channels)
        if image_size is not None:
            self.autoencoder.fit(image_size)

    @property
    def divisor(self) -> int:
        """What every spatial size must be a multiple of, in the present mode."""
        return self.smallest if self.training else self.smallest // 2

    def forward(self, image: Tensor) -> Tensor | Autoencoded:
        check_size(list(image.shape[2:]), self.divisor, self.divisor)
        x = self.stem(image)
        skips: list[Tensor] = []
        for down in self.downs:
            skips.append(x)
            x = down(x)
        bottleneck = x
        for up in self.ups:
            x = up(x, skips.pop())
        logits = self.head(x)
        if not self.training:
            return logits
        reconstruction, mean, log_variance = self.autoencoder(bottleneck)
        return Autoencoded(logits, reconstruction, mean, log_variance)


class ResidualBlock(nn.Module):
    """Two convolutions, each after norm and ReLU, added to the input."""

    def __init__(self, spatial_dims: int, channels: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            norm_relu(channels),
            conv3(spatial_dims, channels, channels),
            norm_relu(channels),
            conv3(spatial_dims, channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.convs(x)


class Up(nn.Module):
    """Double the resolution, add the skip, then learn a residual."""

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.upsample = upsample(spatial_dims, in_channels, out_channels)
        self.block = ResidualBlock(spatial_dims, out_channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.block(self.upsample(x) + skip)


class VariationalDecoder(nn.Module):
    """Sample a latent vector from the bottleneck and rebuild the image (table 2 of the paper).

    Shape:
        bottleneck (B, features[-1], *S) -> reconstruction (B, out_channels, *S doubled once for
        each finer resolution), mean (B, 128), log variance (B, 128)
    """

    def __init__(self, spatial_dims: int, features: Sequence[int], out_channels: int) -> None:
        super().__init__()
        self.reduce = nn.Sequential(
            norm_relu(features[-1]),
            Conv["conv", spatial_dims](features[-1], REDUCED, kernel_size=3, stride=2, padding=1),
        )
        self.dense = LatentDense(spatial_dims)
        self.expand = nn.Sequential(nn.ReLU(), upsample(spatial_dims, REDUCED, features[-1]))
        self.ups = nn.Sequential(
            *(
                nn.Sequential(
                    upsample(spatial_dims, coarse, fine), ResidualBlock(spatial_dims, fine)
                )
                for coarse, fine in pairwise(features[::-1])
            )
        )
        self.head = Conv["conv", spatial_dims](features[0], out_channels, kernel_size=1)
        self.downsampling = 2 ** len(features)

    @torch.jit.unused
    def fit(self, image_size: Sequence[int]) -> None:
        """Give the dense layers the width that images of this size (voxels) need."""
        self.dense.fit([size // self.downsampling for size in image_size], self.downsampling)

    @torch.jit.unused  # scripted networks segment only
    def forward(self, bottleneck: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.reduce(bottleneck)
        self.dense.fit(list(x.shape[2:]), self.downsampling)
        mean, log_variance = self.dense.encode(x).chunk(2, dim=1)
        # noise enters from the side, so that gradients pass through the sample to the encoder
        sample = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        x = self.expand(self.dense.decode(sample))
        return self.head(self.ups(x)), mean, log_variance


class LatentDense(nn.Module):
    """Dense layers from a feature map to a Gaussian, and from its sample back to the map.

    The weights have the map's own shape, empty until ``fit`` or a state dict gives it. Parameters
    stay the same objects throughout, so an optimiser may be made before.
    """

    def __init__(self, spatial_dims: int) -> None:
        super().__init__()
        empty = (REDUCED, *[0] * spatial_dims)
        self.encoder_weight = nn.Parameter(torch.empty(2 * LATENT, *empty))
        self.encoder_bias = nn.Parameter(torch.zeros(2 * LATENT))
        self.decoder_weight = nn.Parameter(torch.empty(LATENT, *empty))
        self.decoder_bias = nn.Parameter(torch.empty(empty))
        self.register_load_state_dict_pre_hook(adopt_shapes)  # type: ignore[no-untyped-call]

    @torch.jit.unused
    def fit(self, sizes: list[int], downsampling: int) -> None:
        """Give the weights the spatial ``sizes`` of the map, or see that they have them."""
        fitted = list(self.decoder_bias.shape[1:])
        if 0 in fitted:
            map_shape = (REDUCED, *sizes)
            for parameter, shape, inputs in (
                (self.encoder_weight, (2 * LATENT, *map_shape), prod(map_shape)),
                (self.decoder_weight, (LATENT, *map_shape), LATENT),
                (self.decoder_bias, map_shape, LATENT),
            ):
                parameter.data = parameter.new_empty(shape).uniform_(-(inputs**-0.5), inputs**-0.5)
        elif fitted != sizes:
            here, there = ([size * downsampling for size in each] for each in (sizes, fitted))
            raise ValueError(
                f"training is bound to images of size {there} and cannot take size {here}: "
                "crop or pad to one size"
            )

    @torch.jit.unused
    def encode(self, x: Tensor) -> Tensor:
        """(B, 16, *S) -> mean and log variance (B, 256)."""
        return nn.functional.linear(x.flatten(1), self.encoder_weight.flatten(1), self.encoder_bias)

    @torch.jit.unused
    def decode(self, sample: Tensor) -> Tensor:
        """(B, 128) -> (B, 16, *S)."""
        x = sample @ self.decoder_weight.flatten(1) + self.decoder_bias.flatten()
        return x.reshape(-1, *self.decoder_bias.shape)


def adopt_shapes(
    dense: nn.Module, state_dict: Mapping[str, Tensor], prefix: str, *_: object
) -> None:
    """Give empty weights the shapes that are about to be loaded."""
    for name, parameter in dense.named_parameters():
        saved = state_dict.get(prefix + name)
        if saved is not None and parameter.numel() == 0:
            parameter.data = parameter.new_empty(saved.shape)


def norm_relu(channels: int) -> nn.Sequential:
    """Group norm and ReLU: eight groups, fewer where a group would have but one channel."""
    return nn.Sequential(nn.GroupNorm(gcd(8, channels // 2), channels), nn.ReLU(inplace=True))


def conv3(spatial_dims: int, in_channels: int, out_channels: int, stride: int = 1) -> nn.Module:
    """A 3-wide convolution without bias."""
    return Conv["conv", spatial_dims](
        in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False
    )


def upsample(spatial_dims: int, in_channels: int, out_channels: int) -> nn.Sequential:
    """Change the channels point by point, then double the resolution linearly."""
    return nn.Sequential(
        Conv["conv", spatial_dims](in_channels, out_channels, kernel_size=1, bias=False),
        UpSample(
            spatial_dims, out_channels, out_channels, mode="nontrainable", align_corners=False
        ),
    )
