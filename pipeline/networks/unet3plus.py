"""UNet 3+: full-scale skips and deep supervision (Huang et al., 2020, arXiv:2004.08790)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from monai.networks.blocks import UpSample
from monai.networks.layers.factories import Conv, Pool
from torch import Tensor, nn

from pipeline.networks.blocks import ConvStack, check_size


class Guided(NamedTuple):
    """What training gives if a classification guides the segmentation.

    Attributes:
        heads: logits, each (B, out_channels, *S), best head first; one without deep supervision.
        presence: logits (B, out_channels, 2) of absent and present, one decision a channel.
    """

    heads: list[Tensor]
    presence: Tensor


class UNet3Plus(nn.Module):
    """U-Net whose every decoder stage joins maps of all resolutions (figure 1 of the paper).

    A decoder stage takes the encoder's maps down to its own resolution, max-pooled, and the
    coarser decoder maps, enlarged. Deep supervision puts a head on each decoder stage and on the
    coarsest encoder map. The classification-guided module decides from that coarsest map, for
    each output channel, whether it is present in the image at all.

    In training the module leaves the logits alone; cross-entropy of ``Guided.presence`` against
    what the label holds teaches it. In evaluation it sets the logits of every channel judged
    absent to -30. The background of exclusive classes is a channel like the others: targets always
    have it present, so it is not blanked, and where all else is absent it wins the softmax.

    Departs from the paper: logits of an absent class become -30. The paper multiplies side outputs
    by 0, which on logits, as in the authors' code, gives a probability of sigmoid(0) = 0.5
    everywhere. A decision per output channel, of two logits, replaces one for the only organ. Since
    a hard decision has no gradient, the module acts in evaluation only.

    Overlapping windows and mirror images are averaged as logits, so that one of them that judges a
    class absent outweighs others: guided, let a window cover what it decides on.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: classes or regions to segment.
        features: channels of each encoder resolution, finest first; each branch of a decoder
            stage has ``features[0]``.
        deep_supervision: whether training gives the logits of all heads.
        classification_guided: whether to decide on the presence of each output channel.

    Shape:
        (B, in_channels, *S) -> logits (B, out_channels, *S), with every S a multiple of
        ``divisor``. Training with deep supervision: list of such logits, best head first;
        training with classification guidance: ``Guided``.

    Raises:
        ValueError: a size breaks the rule above, or is below ``smallest`` in training.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        features: Sequence[int] = (64, 128, 256, 512, 1024),
        deep_supervision: bool = False,
        classification_guided: bool = False,
    ) -> None:
        super().__init__()
        self.divisor = 2 ** (len(features) - 1)
        self.smallest = 2 * self.divisor  # batch norm needs two voxels at the coarsest resolution
        self.deep_supervision = deep_supervision

        self.stem = ConvStack(spatial_dims, (in_channels, features[0], features[0]))
        self.pool = Pool["max", spatial_dims](kernel_size=2, stride=2)
        self.downs = nn.ModuleList(
            ConvStack(spatial_dims, (fine, coarse, coarse)) for fine, coarse in pairwise(features)
        )
        joined = len(features) * features[0]
        decoded = [*[joined] * (len(features) - 1), features[-1]]
        self.stages = nn.ModuleList(  # coarsest first: the order in which forward meets them
            FullScaleStage(
                spatial_dims, level, [*features[: level + 1], *decoded[level + 1 :]], features[0]
            )
            for level in reversed(range(len(features) - 1))
        )
        self.heads = nn.ModuleList(
            Head(spatial_dims, channels, out_channels, doublings=level)
            for level, channels in enumerate(decoded if deep_supervision else decoded[:1])
        )
        self.presence = (
            Presence(spatial_dims, features[-1], out_channels) if classification_guided else None
        )

    def forward(self, image: Tensor) -> Tensor | list[Tensor] | Guided:
        smallest = self.smallest if self.training else self.divisor
        check_size(list(image.shape[2:]), self.divisor, smallest)
        maps = [self.stem(image)]
        for down in self.downs:
            maps.append(down(self.pool(maps[-1])))
        for index, stage in enumerate(self.stages):
            maps[-2 - index] = stage(maps)  # the encoder's map gives way to the decoder's
        if not self.training:
            logits = self.heads[0](maps[0])
            if self.presence is None:
                return logits
            return blank_absent(logits, self.presence(maps[-1]))
        heads: list[Tensor] = []
        for level, head in enumerate(self.heads):
            heads.append(head(maps[level]))
        if self.presence is not None:
            return Guided(heads, self.presence(maps[-1]))
        if self.deep_supervision:
            return heads
        return heads[0]


class FullScaleStage(nn.Module):
    """Decoder stage that joins maps of all resolutions at its own.

    Args:
        spatial_dims: 2 or 3.
        level: of the stage's resolution, 0 the finest.
        channels: of the map at each level, finest first.
        width: channels of each map once convolved; all are joined.
    """

    def __init__(self, spatial_dims: int, level: int, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                rescale(spatial_dims, fan_in, level - its_level),
                ConvStack(spatial_dims, (fan_in, width)),
            )
            for its_level, fan_in in enumerate(channels)
        )
        joined = len(channels) * width
        self.merge = ConvStack(spatial_dims, (joined, joined))

    def forward(self, maps: list[Tensor]) -> Tensor:
        joined: list[Tensor] = []
        for level, branch in enumerate(self.branches):
            joined.append(branch(maps[level]))
        return self.merge(torch.cat(joined, dim=1))


def rescale(spatial_dims: int, channels: int, halvings: int) -> nn.Module:
    """Halve the resolution by max-pooling, or double it linearly if ``halvings`` is negative."""
    if halvings > 0:
        return Pool["max", spatial_dims](kernel_size=2**halvings, stride=2**halvings)
    if halvings == 0:
        return nn.Identity()
    return UpSample(
        spatial_dims,
        channels,
        channels,
        scale_factor=2**-halvings,
        mode="nontrainable",
        align_corners=False,
    )


class Head(nn.Sequential):
    """A 3-wide convolution to logits, enlarged to the grid of the image."""

    def __init__(
        self, spatial_dims: int, in_channels: int, out_channels: int, doublings: int
    ) -> None:
        super().__init__(
            Conv["conv", spatial_dims](in_channels, out_channels, kernel_size=3, padding=1),
            rescale(spatial_dims, out_channels, -doublings),
        )


class Presence(nn.Module):
    """Decide whether each class is present anywhere in the image.

    Shape:
        (B, in_channels, *S) -> logits (B, out_channels, 2) of absent and present
    """

    def __init__(self, spatial_dims: int, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)
        self.conv = Conv["conv", spatial_dims](in_channels, 2 * out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(self.dropout(x))
        return x.flatten(2).amax(dim=2).reshape(x.shape[0], -1, 2)


def blank_absent(logits: Tensor, presence: Tensor) -> Tensor:
    """Logits (B, C, *S), at -30 in each channel whose presence (B, C, 2) is rather absent."""
    absent = presence[:, :, 0] > presence[:, :, 1]
    each_channel = list(absent.shape) + [1] * (logits.ndim - 2)
    return logits.masked_fill(absent.reshape(each_channel), -30.0)
