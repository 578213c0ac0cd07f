"""ResUNet++: what the paper and its authors' code say of it."""

import pytest
import torch
from torch import nn

from pipeline.networks import ResUNetPlusPlus
from pipeline.networks.resunetplusplus import Attention, DilatedPyramid, SqueezeExcitation


@pytest.fixture
def network() -> ResUNetPlusPlus:
    """The authors', without memory behind its weights."""
    with torch.device("meta"):
        return ResUNetPlusPlus(2, 3, 1)


def reach(network: nn.Module, size: int) -> list[int]:
    """Which voxels of a row the middle of the output depends on, as distances from it."""
    image = torch.ones(1, 1, size, size, requires_grad=True)
    middle = size // 2
    network(image)[0, 0, middle, middle].backward()
    return (image.grad[0, 0, middle].nonzero().flatten() - middle).tolist()


def test_parameter_count_is_the_authors(network):
    assert sum(p.numel() for p in network.parameters()) == 4_062_993


def test_running_statistics_are_the_rest_of_the_keras_total(network):
    statistics = sum(b.numel() for name, b in network.named_buffers() if "running" in name)
    assert statistics == 4_070_385 - 4_062_993


def test_sizes_need_only_three_halvings(network):
    with torch.device("meta"):
        assert network.eval()(torch.empty(1, 3, 72, 72)).shape == (1, 1, 72, 72)
    assert network.divisor == 8


def test_decoder_blocks_take_the_coarser_map_and_the_skip(network):
    taken = [up.block.shortcut[0].in_channels for up in network.ups]
    assert taken == [256 + 64, 128 + 32, 64 + 16]


def test_the_pyramid_sees_at_dilations_1_6_12_and_18():
    torch.manual_seed(0)
    pyramid = DilatedPyramid(2, 1, 1).eval()
    assert reach(pyramid, 41) == [-18, -12, -6, -1, 0, 1, 6, 12, 18]


def test_a_pyramid_is_the_bridge_and_another_precedes_the_head(network):
    pyramids = [name for name, m in network.named_modules() if isinstance(m, DilatedPyramid)]
    assert pyramids == ["bridge", "head.0"]


def test_excitation_weighs_whole_channels_between_0_and_1():
    torch.manual_seed(0)
    x = torch.rand(2, 8, 5, 5) + 0.1
    weights = SqueezeExcitation(2, 8)(x) / x
    torch.testing.assert_close(weights, weights[..., :1, :1].expand_as(weights))
    assert weights.min() > 0
    assert weights.max() < 1


def test_attention_weighs_the_map_without_bounds():
    torch.manual_seed(0)
    attention = Attention(2, 4, 2).eval()
    nn.init.constant_(attention.merge[-1].bias, 7.0)
    nn.init.zeros_(attention.merge[-1].weight)
    x = torch.rand(1, 4, 4, 4)
    torch.testing.assert_close(attention(x, torch.rand(1, 2, 8, 8)), 7 * x)


def test_attention_listens_to_the_skip():
    torch.manual_seed(0)
    attention = Attention(2, 4, 2).eval()
    x, skip = torch.rand(1, 4, 4, 4), torch.rand(1, 2, 8, 8)
    assert not torch.allclose(attention(x, skip), attention(x, skip + 1))
