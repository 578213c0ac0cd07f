"""What Ronneberger et al. say of the U-Net."""

import pytest
import torch
from torch import nn

from pipeline.networks import UNet


def count(*args, **options) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in UNet(*args, **options).parameters())


def test_parameters_of_the_paper():
    assert count(2, 1, 2, padding="valid", norm=None) == 31_030_658


def test_parameters_with_norm():
    assert count(2, 3, 1) == 31_043_521


def test_valid_logits_have_the_size_of_figure_1():
    with torch.device("meta"):
        network = UNet(2, 1, 2, padding="valid", norm=None)
        assert network(torch.empty(1, 1, 572, 572)).shape == (1, 2, 388, 388)


def test_there_are_23_convolutions():
    with torch.device("meta"):
        network = UNet(2, 1, 2)
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    assert sum(isinstance(module, kinds) for module in network.modules()) == 23


def test_five_resolutions_of_which_each_doubles_the_channels():
    seen = []
    with torch.device("meta"):
        network = UNet(2, 1, 2)
        network.pool.register_forward_hook(lambda *call: seen.append(tuple(call[2].shape[1:])))
        network(torch.empty(1, 1, 64, 64))
    assert seen == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]


def test_valid_logits_do_not_depend_on_where_the_tile_was_cut():
    torch.manual_seed(0)
    network = UNet(2, 1, 1, features=(4, 8, 8), padding="valid").eval()
    image = torch.rand(1, 1, 52, 52)
    tile = image[..., 4:48, 8:52]
    with torch.inference_mode():
        torch.testing.assert_close(network(tile), network(image)[..., 4:8, 8:12])


def test_a_valid_size_off_the_rule_is_refused():
    network = UNet(2, 1, 1, features=(4, 8, 8), padding="valid")
    with pytest.raises(ValueError, match="size 46 is not 12 \\+ a multiple of 4"):
        network(torch.rand(1, 1, 44, 46))


def test_the_smallest_valid_size_leaves_logits():
    network = UNet(2, 1, 1, features=(4, 8, 8), padding="valid").eval()
    assert network(torch.rand(1, 1, 44, 44)).shape == (1, 1, 4, 4)
    with pytest.raises(ValueError, match="size 40 is below 44"):
        network(torch.rand(1, 1, 40, 40))


def test_linear_upsampling_has_no_up_convolution():
    network = UNet(2, 1, 1, features=(4, 8, 8), upsample="linear")
    assert not [m for m in network.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert network(torch.rand(1, 1, 8, 12)).shape == (1, 1, 8, 12)


def test_without_norm_logits_keep_the_scale_of_the_image():
    torch.manual_seed(0)
    with torch.inference_mode():
        logits = UNet(2, 1, 1, features=(8, 16, 32, 64, 128), norm=None)(torch.randn(1, 1, 64, 64))
    assert 0.2 < logits.std() < 5
