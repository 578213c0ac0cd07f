"""3D U²-Net: one universal network for several domains (Huang et al., 2019, arXiv:1909.06012)."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal, cast

import torch
from monai.networks.layers.factories import Conv, Norm
from torch import Tensor, nn

from pipeline.networks.blocks import check_size

Mode = Literal["universal", "shared", "independent"]
Unit = Callable[..., nn.Module]
"""``unit`` with rank, mode and domains given."""


class U2Net(nn.Module):
    """A U-Net whose convolutions are split into what a domain owns and what all share.

    A domain (an organ in a modality) owns its first convolution, its channel-wise filters, its
    norms and its heads. All domains share the point-wise and the strided convolutions. A batch is
    of one domain. The heads of three resolutions are summed, which is the deep supervision.

    Departs from the paper: a domain with fewer poolings than the network has works on the finest
    levels alone and owns nothing below them; in the authors' code every domain uses all levels.

    Args:
        spatial_dims: 2 or 3.
        domains: by name, the ``in_channels``, ``out_channels`` and ``pools`` of each domain;
            ``pools`` counts its halvings, from 1 to ``len(features) - 1``.
        domain: the one that an image belongs to if none is said; None for the first.
        features: channels of each resolution, finest first.
        mode: "universal"; to compare with, "shared" (dense convolutions for all, norms and heads
            for each) or "independent" (nothing is shared).
        trained: the domain whose own weights alone are trained; None to train all that there is.

    Shape:
        (B, in_channels, *S) -> logits (B, out_channels, *S), both channels the domain's own, with
        every S a multiple of ``2 ** pools`` and one S at least twice that, because a norm needs
        two voxels. ``divisor`` and ``smallest`` are those of ``domain``.

    Raises:
        ValueError: a domain is unknown or has too many poolings, or a size breaks the rule above.
    """

    def __init__(
        self,
        spatial_dims: int,
        domains: Mapping[str, Mapping[str, int]],
        domain: str | None = None,
        features: Sequence[int] = (16, 32, 64, 128, 256, 512),
        mode: Mode = "universal",
        trained: str | None = None,
    ) -> None:
        super().__init__()
        check_pools(domains, len(features) - 1)
        self.spatial_dims, self.features, self.mode = spatial_dims, tuple(features), mode
        self.domains = {name: dict(entry) for name, entry in domains.items()}
        self.domain = next(iter(domains)) if domain is None else domain
        self.divisor = 1 << self.pools(self.domain)
        self.smallest = 2 * self.divisor

        levels = range(1, len(features))
        units = [
            partial(unit, spatial_dims, mode, users_of(level, domains))
            for level in range(len(features))
        ]
        self.stems = PerDomain(
            {name: stem(spatial_dims, entry, features[0]) for name, entry in domains.items()}
        )
        self.block = Block(units[0], features[0])
        self.downs = nn.ModuleList(
            Down(units[level], features[level - 1], features[level]) for level in levels
        )
        self.ups = nn.ModuleList(  # coarsest first: the order in which forward meets them
            Up(units[level], features[level], features[level - 1]) for level in levels[::-1]
        )
        self.heads = heads(spatial_dims, features, domains, 0)
        self.side_heads = nn.ModuleList(
            heads(spatial_dims, features, domains, level)
            for level in range(1, min(3, len(features) - 1))
        )
        self.trained = trained
        if trained is not None:
            self.freeze_all_but(trained)

    def add_domain(self, name: str, domain: Mapping[str, int]) -> None:
        """Make room for one more domain, described as in ``domains``, and freeze all before it.

        Raises:
            ValueError: the name is taken, or the domain has too many poolings.
        """
        if name in self.domains:
            raise ValueError(f"domain {name!r} is there already")
        alone = U2Net(self.spatial_dims, {name: domain}, name, self.features, self.mode)
        alone.to(next(self.parameters()).device)
        self.requires_grad_(False)
        for path, module in alone.named_modules():
            if isinstance(module, PerDomain):
                cast("PerDomain", self.get_submodule(path)).update(dict(module.items()))
        self.domains[name] = dict(domain)

    def freeze_all_but(self, domain: str) -> None:
        """Let training change what ``domain`` owns and nothing else."""
        self.pools(domain)
        self.requires_grad_(False)
        for module in self.modules():
            if isinstance(module, PerDomain) and domain in module:
                module[domain].requires_grad_(True)

    def pools(self, domain: str) -> int:
        """How often an image of ``domain`` is halved."""
        if domain not in self.domains:
            raise ValueError(f"unknown domain {domain}: known are {', '.join(self.domains.keys())}")
        return self.domains[domain]["pools"]

    def forward(self, image: Tensor, domain: str | None = None) -> Tensor:
        name = self.domain if domain is None else domain
        pools = self.pools(name)
        check_two_voxels(list(image.shape[2:]), 1 << pools)
        x = self.block(self.stems(image, name), name)
        skips: list[Tensor] = []
        for level, down in enumerate(self.downs):
            if level < pools:
                skips.append(x)
                x = down(x, name)
        decoded: list[Tensor] = []
        for index, up in enumerate(self.ups):
            if index >= len(self.ups) - pools:
                x = up(x, skips.pop(), name)
                decoded.append(x)
        logits = self.heads(x, name)
        for level, heads in enumerate(self.side_heads, start=1):
            if level < pools:
                logits = logits + heads(decoded[-1 - level], name)
        return logits


class PerDomain(nn.ModuleDict):
    """A module for each domain, by the domain's name."""

    def forward(self, x: Tensor, domain: str) -> Tensor:
        for name, module in self.items():  # self[domain] does not script
            if name == domain:
                return module(x)
        raise KeyError(domain)


class Block(nn.Module):
    """Learn a residual with two convolutions."""

    def __init__(self, unit: Unit, features: int) -> None:
        super().__init__()
        self.first = unit(features, features)
        self.second = unit(features, features)
        self.act = nn.LeakyReLU(0.01)

    def forward(self, x: Tensor, domain: str) -> Tensor:
        return self.act(x + self.second(self.act(self.first(x, domain)), domain))


class Down(nn.Module):
    """Halve the resolution by a strided convolution, then learn a residual."""

    def __init__(self, unit: Unit, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.downsample = unit(in_channels, out_channels, stride=2)
        self.act = nn.LeakyReLU(0.01)
        self.block = Block(unit, out_channels)

    def forward(self, x: Tensor, domain: str) -> Tensor:
        padded = nn.functional.pad(x, [0, 1] * (x.dim() - 2))  # at the far ends, as the authors do
        return self.block(self.act(self.downsample(padded, domain)), domain)


class Up(nn.Module):
    """Double the resolution, halve the channels, join the skip, then convolve twice."""

    def __init__(self, unit: Unit, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.narrow = unit(in_channels, out_channels)
        self.merge = unit(2 * out_channels, out_channels)
        self.refine = unit(out_channels, out_channels, kernel_size=1)
        self.act = nn.LeakyReLU(0.01)

    def forward(self, x: Tensor, skip: Tensor, domain: str) -> Tensor:
        x = self.act(self.narrow(self.upsample(x), domain))
        x = self.act(self.merge(torch.cat([x, skip], dim=1), domain))
        return self.act(self.refine(x, domain))


class SeparableUnit(nn.Module):
    """The domain's channel-wise filters, a point-wise convolution for all, the domain's norm."""

    def __init__(self, filters: PerDomain, pointwise: nn.Module, norms: PerDomain) -> None:
        super().__init__()
        self.filters = filters
        self.pointwise = pointwise
        self.norms = norms

    def forward(self, x: Tensor, domain: str) -> Tensor:
        return self.norms(self.pointwise(self.filters(x, domain)), domain)


class SharedUnit(nn.Module):
    """A convolution for all, then the domain's norm."""

    def __init__(self, conv: nn.Module, norms: PerDomain) -> None:
        super().__init__()
        self.conv = conv
        self.norms = norms

    def forward(self, x: Tensor, domain: str) -> Tensor:
        return self.norms(self.conv(x), domain)


def check_pools(domains: Mapping[str, Mapping[str, int]], most: int) -> None:
    """Refuse a domain that does not fit the levels of the network."""
    for name, entry in domains.items():
        if not 1 <= entry["pools"] <= most:
            raise ValueError(f"domain {name} has {entry['pools']} pools: take 1 to {most}")


def users_of(level: int, domains: Mapping[str, Mapping[str, int]]) -> list[str]:
    """The domains that reach ``level``."""
    return [name for name, entry in domains.items() if entry["pools"] >= level]


def unit(
    spatial_dims: int,
    mode: Mode,
    domains: Sequence[str],
    in_channels: int,
    out_channels: int,
    kernel_size: int = 3,
    stride: int = 1,
) -> nn.Module:
    """A convolution and its norm, split between ``domains`` and all as ``mode`` says.

    Separable filters are 3 wide whatever ``kernel_size``. A strided convolution does not pad.
    """
    conv, norm = Conv["conv", spatial_dims], Norm["instance", spatial_dims]
    padding = kernel_size // 2 if stride == 1 else 0
    dense = partial(conv, in_channels, out_channels, kernel_size, stride=stride, padding=padding)
    norms = PerDomain({domain: norm(out_channels, affine=True) for domain in domains})
    if mode == "independent":
        return PerDomain({domain: nn.Sequential(dense(), norms[domain]) for domain in domains})
    if mode == "shared" or stride > 1:
        return SharedUnit(dense(), norms)
    channelwise = partial(conv, in_channels, in_channels, 3, padding=1, groups=in_channels)
    filters = PerDomain(
        {
            domain: nn.Sequential(channelwise(), *norm_act(spatial_dims, in_channels))
            for domain in domains
        }
    )
    return SeparableUnit(filters, conv(in_channels, out_channels, kernel_size=1), norms)


def stem(spatial_dims: int, domain: Mapping[str, int], features: int) -> nn.Sequential:
    """A domain's first convolution."""
    return nn.Sequential(
        Conv["conv", spatial_dims](domain["in_channels"], features, kernel_size=3, padding=1),
        *norm_act(spatial_dims, features),
    )


def heads(
    spatial_dims: int,
    features: Sequence[int],
    domains: Mapping[str, Mapping[str, int]],
    level: int,
) -> PerDomain:
    """What each domain's decoder says at ``level``, on the grid of the image."""

    def head(classes: int) -> nn.Sequential:
        point = Conv["conv", spatial_dims](features[level], classes, kernel_size=1)
        if level == 0:
            return nn.Sequential(point)
        upsample = nn.Upsample(scale_factor=2**level, mode="nearest")
        return nn.Sequential(point, *norm_act(spatial_dims, classes), upsample)

    names = users_of(level + 1, domains)  # those that decode at this level
    return PerDomain({name: head(domains[name]["out_channels"]) for name in names})


def norm_act(spatial_dims: int, channels: int) -> tuple[nn.Module, nn.Module]:
    """Instance norm and leaky ReLU."""
    return Norm["instance", spatial_dims](channels, affine=True), nn.LeakyReLU(0.01)


def check_two_voxels(sizes: list[int], divisor: int) -> None:
    """Refuse ``sizes`` that do not divide, or that leave one voxel at the coarsest level."""
    check_size(sizes, divisor, divisor)
    if max(sizes) == divisor:
        raise ValueError(
            f"size {divisor} along every axis leaves a norm one voxel: one needs {2 * divisor}"
        )
