"""MultiResUNet: what the paper and its authors' Keras code say of it."""

import pytest
import torch
from torch import nn

from pipeline.networks import MultiResUNet
from pipeline.networks.multiresunet import MultiResBlock, ResidualConv


def authors(spatial_dims: int = 2, in_channels: int = 3) -> MultiResUNet:
    """The authors', without memory behind its weights."""
    with torch.device("meta"):
        return MultiResUNet(spatial_dims, in_channels, 1)


def reach(output: torch.Tensor, image: torch.Tensor) -> int:
    """How many voxels of a row the middle of ``output`` (H, W) depends on."""
    middle = output.shape[0] // 2
    (gradient,) = torch.autograd.grad(output[middle, middle], image, retain_graph=True)
    return gradient[0, 0, middle].count_nonzero().item()


@pytest.mark.parametrize(
    ("spatial_dims", "in_channels", "count"), [(2, 3, 7_238_228), (3, 4, 18_633_167)]
)
def test_parameter_count_is_the_authors(spatial_dims, in_channels, count):
    network = authors(spatial_dims, in_channels)
    assert sum(p.numel() for p in network.parameters()) == count


@pytest.mark.parametrize(
    ("spatial_dims", "in_channels", "untrained"),
    [(2, 3, 7_262_750 - 7_238_228), (3, 4, 18_657_689 - 18_633_167)],
)
def test_running_statistics_are_the_rest_of_the_keras_total(spatial_dims, in_channels, untrained):
    buffers = authors(spatial_dims, in_channels).named_buffers()
    statistics = sum(b.numel() for name, b in buffers if "running" in name)
    assert statistics == untrained - 2  # the head of Keras has a norm, as the paper's has not


def test_widths_are_the_authors():
    network = authors()
    blocks = [network.stem, *network.downs, *(up.block for up in network.ups)]
    widths = [block.shortcut[0].out_channels for block in blocks]
    assert widths == [51, 105, 212, 426, 853, 426, 212, 105, 51]


def test_alpha_scales_the_blocks():
    with torch.device("meta"):
        network = MultiResUNet(2, 3, 1, alpha=1.0)
    assert network.stem.shortcut[0].out_channels == 5 + 10 + 16


def test_no_width_is_rounded_down_to_nothing():
    network = MultiResUNet(2, 1, 1, features=(1, 2)).eval()
    assert network(torch.rand(1, 1, 4, 4)).shape == (1, 1, 4, 4)


def test_a_finer_skip_has_a_longer_path():
    paths = [
        [(link.conv[0].in_channels, link.conv[0].out_channels) for link in up.path]
        for up in authors().ups
    ]
    assert paths == [  # coarsest first
        [(426, 256)],
        [(212, 128), (128, 128)],
        [(105, 64), (64, 64), (64, 64)],
        [(51, 32), (32, 32), (32, 32), (32, 32)],
    ]


def test_a_block_sees_3_5_and_7_voxels():
    block = MultiResBlock(2, 1, (1, 1, 1)).eval()
    for conv in block.convs:
        nn.init.ones_(conv[0].weight)  # no ReLU is closed
    image = torch.rand(1, 1, 11, 11, requires_grad=True)
    x, seen = image, []
    for conv in block.convs:
        x = conv(x)
        seen.append(reach(x.sum(dim=(0, 1)), image))
    assert seen == [3, 5, 7]
    assert reach(block(image).sum(dim=(0, 1)), image) == 7


def test_a_link_of_a_path_learns_a_residual():
    link = ResidualConv(2, 2, 2).eval()
    nn.init.zeros_(link.conv[0].weight)
    nn.init.dirac_(link.shortcut[0].weight)
    x = torch.rand(1, 2, 4, 4)
    torch.testing.assert_close(link(x), x, rtol=1e-4, atol=1e-4)


def test_norms_behind_convolutions_shift_but_do_not_scale():
    network = MultiResUNet(2, 1, 1, features=(2, 4))
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    network(torch.rand(1, 1, 8, 8)).square().mean().backward()
    optimizer.step()
    _, norm, _ = network.stem.convs[0]
    assert torch.all(norm.weight == 1)
    assert torch.any(norm.bias != 0)


def test_the_head_has_no_norm():
    assert isinstance(authors().head, nn.Conv2d)
