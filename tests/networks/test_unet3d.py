"""What Çiçek et al. say of the 3D U-Net."""

import pytest
import torch
from torch import nn

from pipeline.networks import UNet3D


def paper_network(**options) -> UNet3D:
    """In the paper's size, without memory for its weights."""
    with torch.device("meta"):
        return UNet3D(3, in_channels=3, out_channels=3, **options)


def count(network: nn.Module, *without: str) -> int:
    return sum(
        parameter.numel()
        for name, parameter in network.named_parameters()
        if not any(part in name for part in without)
    )


def test_parameters_without_norm_and_up_convolution_bias_are_those_of_the_paper():
    assert count(paper_network(), ".N.", "upsample.bias") == 19_069_955


def test_every_parameter_counted():
    assert count(paper_network()) == 19_075_523


def test_valid_logits_have_the_size_of_figure_2():
    network = paper_network(padding="valid")
    image = torch.empty(1, 3, 132, 132, 116, device="meta")
    assert network(image).shape == (1, 3, 44, 44, 28)


def test_channels_double_before_each_pooling():
    network, seen = paper_network(), []
    network.pool.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[1]))
    network(torch.empty(1, 3, 16, 16, 16, device="meta"))
    assert seen == [64, 128, 256]


def test_up_convolutions_keep_their_channels():
    ups = [m for m in paper_network().modules() if isinstance(m, nn.ConvTranspose3d)]
    assert [(up.in_channels, up.out_channels) for up in ups] == [(512, 512), (256, 256), (128, 128)]


def test_valid_logits_do_not_depend_on_where_the_tile_was_cut():
    torch.manual_seed(0)
    network = UNet3D(2, 1, 1, features=(4, 8, 8), padding="valid").eval()
    image = torch.rand(1, 1, 52, 52)
    tile = image[..., 4:48, 8:52]
    with torch.inference_mode():
        torch.testing.assert_close(network(tile), network(image)[..., 4:8, 8:12])


def test_a_valid_size_off_the_rule_is_refused():
    network = UNet3D(2, 1, 1, features=(4, 8, 8), padding="valid")
    with pytest.raises(ValueError, match="size 45 is not 12 \\+ a multiple of 4"):
        network(torch.rand(1, 1, 44, 45))


def test_the_smallest_valid_size_leaves_logits():
    network = UNet3D(2, 1, 1, features=(4, 8, 8), padding="valid").eval()
    assert network(torch.rand(1, 1, 44, 44)).shape == (1, 1, 4, 4)
    with pytest.raises(ValueError, match="size 40 is below 44"):
        network(torch.rand(1, 1, 40, 40))


def test_without_norm_nothing_is_normalised():
    network = UNet3D(2, 1, 1, features=(4, 8), norm=None)
    assert not [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
