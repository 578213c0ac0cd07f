"""UNet++: a nested U-Net with redesigned skips (Zhou et al., 2018, arXiv:1807.10165)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from monai.networks.layers.factories import Conv, Pool
from torch import Tensor, nn

from pipeline.networks.blocks import ConvStack, check_size, initialise


class UNetPlusPlus(nn.Module):
    """U-Nets of every depth nested in one grid of nodes (figure 1 of the paper).

    Node (i, j) lies at resolution i in column j, and joins the nodes left of it with the upsampled
    node (i + 1, j - 1). Column 0 is the encoder; each later column ends at the resolution of the
    image, where a head turns it into logits.

    Departs from the paper: nothing is dropped out between convolutions.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        out_channels: classes or regions to segment.
        features: channels of each resolution, finest first.
        norm: MONAI's name of the norm before each ReLU, or None.
        deep_supervision: train a head on every column, not on the last alone.
        prune: how many columns eval computes, None for all; fewer are faster.
        average: eval gives the mean of the heads of the columns that it computes, not the last.

    Shape:
        (B, in_channels, *S) -> logits (B, out_channels, *S), with every S a multiple of
        ``divisor``. In training with deep supervision: a list of these, last column first.

    Raises:
        ValueError: ``prune`` is no column, or ``prune`` or ``average`` goes without deep
            supervision; in ``forward`` a size breaks the rule above, or is below ``smallest`` in
            training.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        features: Sequence[int] = (32, 64, 128, 256, 512),
        norm: str | None = None,
        deep_supervision: bool = False,
        prune: int | None = None,
        average: bool = False,
    ) -> None:
        super().__init__()
        depth = len(features) - 1
        if prune is not None and not 1 <= prune <= depth:
            raise ValueError(f"prune={prune} is no column: give 1 to {depth}, or None for all")
        if (prune is not None or average) and not deep_supervision:
            raise ValueError("prune and average need the heads of deep_supervision=True")
        self.divisor = 2**depth
        self.smallest = 2 * self.divisor if norm else self.divisor
        self.deep_supervision = deep_supervision
        self.prune = depth if prune is None else prune
        self.average = average

        def stack(*channels: int) -> ConvStack:
            return ConvStack(spatial_dims, channels, norm)

        self.stem = stack(in_channels, features[0], features[0])
        self.pool = Pool["max", spatial_dims](kernel_size=2, stride=2)
        self.downs = nn.ModuleList(
            stack(fine, coarse, coarse) for fine, coarse in pairwise(features)
        )
        self.columns = nn.ModuleList(
            Column(spatial_dims, features[: depth + 2 - column], column, norm)
            for column in range(1, depth + 1)
        )
        self.heads = nn.ModuleList(
            Conv["conv", spatial_dims](features[0], out_channels, kernel_size=1)
            for _ in range(depth if deep_supervision else 1)
        )
        initialise(self)

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        smallest = self.smallest if self.training else self.divisor
        check_size(list(image.shape[2:]), self.divisor, smallest)
        depth = len(self.columns) if self.training else self.prune
        x = self.stem(image)
        rows = [[x]]  # rows[i][j] is node (i, j)
        for i, down in enumerate(self.downs):
            if i < depth:
                x = down(self.pool(x))
                rows.append([x])
        for j, column in enumerate(self.columns):
            for i, node in enumerate(column(rows, depth - j)):
                rows[i].append(node)

        logits: list[Tensor] = []  # shallowest column first
        first = 1 + len(self.columns) - len(self.heads)
        for j, head in enumerate(self.heads):
            if first + j <= depth:
                logits.append(head(rows[0][first + j]))
        if self.training and self.deep_supervision:
            return logits[::-1]
        return torch.stack(logits).mean(dim=0) if self.average else logits[-1]


class Column(nn.Module):
    """Nodes of one column, finest first, of which the first ``num_nodes`` are computed."""

    def __init__(
        self, spatial_dims: int, features: Sequence[int], column: int, norm: str | None
    ) -> None:
        super().__init__()
        self.nodes = nn.ModuleList(
            Node(spatial_dims, coarse, fine, column, norm) for fine, coarse in pairwise(features)
        )

    def forward(self, rows: list[list[Tensor]], num_nodes: int) -> list[Tensor]:
        column: list[Tensor] = []
        for i, node in enumerate(self.nodes):
            if i < num_nodes:
                column.append(node(rows[i + 1][-1], rows[i]))
        return column


class Node(nn.Module):
    """Double the resolution, join the ``num_skips`` nodes of the same row, then convolve."""

    def __init__(
        self, spatial_dims: int, coarse: int, fine: int, num_skips: int, norm: str | None
    ) -> None:
        super().__init__()
        self.upsample = Conv["convtrans", spatial_dims](coarse, fine, kernel_size=2, stride=2)
        self.stack = ConvStack(spatial_dims, ((num_skips + 1) * fine, fine, fine), norm)

    def forward(self, x: Tensor, row: list[Tensor]) -> Tensor:
        joined = [self.upsample(x)]
        joined.extend(row)
        return self.stack(torch.cat(joined, dim=1))
