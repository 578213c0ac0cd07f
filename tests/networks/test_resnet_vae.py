"""What Myronenko's paper says of the autoencoder-regularised network."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from monai.networks.nets import SegResNet
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pipeline.networks import Autoencoded, ResNetVAE


def tiny(spatial_dims: int = 3) -> ResNetVAE:
    torch.manual_seed(0)
    return ResNetVAE(spatial_dims, 2, 3, features=(4, 8), depths=(1, 1))


@pytest.fixture
def image() -> Tensor:
    torch.manual_seed(0)
    return torch.rand(2, 2, 4, 4, 8)


@pytest.fixture
def trained(image) -> ResNetVAE:
    """After one step at 4x4x8 voxels, by an optimiser that is older than the dense layers."""
    network = tiny()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    sum(part.square().mean() for part in network(image)).backward()
    optimizer.step()
    optimizer.zero_grad()
    return network


def test_the_segmentation_part_has_18_798_563_parameters():
    with torch.device("meta"):
        network = ResNetVAE(3, 4, 3)
    assert (
        sum(p.numel() for p in network.parameters())
        - sum(p.numel() for p in network.autoencoder.parameters())
        == 18_798_563
    )


def test_an_image_of_160x192x128_brings_the_dense_layers_to_26_032_887_parameters():
    with torch.device("meta"):
        network = ResNetVAE(3, 4, 3, image_size=(160, 192, 128))
    assert sum(p.numel() for p in network.parameters()) == 26_032_887


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_logits_equal_those_of_monai_without_its_final_norm(spatial_dims):
    torch.manual_seed(0)
    ours = ResNetVAE(spatial_dims, 2, 3, features=(16, 32, 64, 128)).eval()
    theirs = SegResNet(spatial_dims, init_filters=16, in_channels=2, out_channels=3).eval()
    theirs.conv_final = theirs.conv_final[-1]
    image = torch.rand(1, 2, *[16] * spatial_dims)
    used = in_order_of_use(ours, image), in_order_of_use(theirs, image)
    for mine, monai in zip(*used, strict=True):
        mine.load_state_dict(monai.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(ours(image), theirs(image))


def in_order_of_use(network: nn.Module, image: Tensor) -> list[nn.Module]:
    """The layers with weights, as ``forward`` meets them."""
    used: list[nn.Module] = []
    handles = [
        layer.register_forward_hook(lambda layer, *_: used.append(layer))
        for layer in network.modules()
        if list(layer.parameters(recurse=False))
    ]
    with torch.inference_mode():
        network(image)
    for handle in handles:
        handle.remove()
    return used


def test_training_gives_logits_reconstruction_and_a_gaussian_of_128(image):
    output = tiny()(image)
    assert isinstance(output, Autoencoded)
    assert output.logits.shape == (2, 3, 4, 4, 8)
    assert output.reconstruction.shape == image.shape
    assert output.mean.shape == output.log_variance.shape == (2, 128)


def test_reconstruction_teaches_the_encoder_and_not_the_segmentation_decoder(image):
    network = tiny()
    network(image).reconstruction.square().mean().backward()
    for name, parameter in network.named_parameters():
        if name.startswith(("ups", "head")):
            assert parameter.grad is None
        elif name.startswith(("stem", "downs")):
            assert parameter.grad.abs().sum() > 0


def test_reconstruction_follows_a_sample_of_the_gaussian(trained, image):
    trained.stem[1].p = 0.0  # no dropout: the sample alone is random
    once, again = trained(image), trained(image)
    torch.testing.assert_close(once.mean, again.mean, rtol=0, atol=0)
    assert not torch.equal(once.reconstruction, again.reconstruction)
    nn.init.zeros_(trained.autoencoder.dense.encoder_weight)
    nn.init.constant_(trained.autoencoder.dense.encoder_bias, -200)  # of no variance
    torch.testing.assert_close(trained(image).reconstruction, trained(image).reconstruction)


def sized(*image_size: int) -> ResNetVAE:
    return ResNetVAE(3, 2, 3, features=(4, 8), depths=(1, 1), image_size=image_size)


def test_a_given_size_makes_the_network_that_the_first_image_makes(trained, image):
    network = sized(4, 4, 8)
    shapes = {name: weight.shape for name, weight in network.state_dict().items()}
    assert shapes == {name: weight.shape for name, weight in trained.state_dict().items()}
    network(image)
    assert {name: weight.shape for name, weight in network.state_dict().items()} == shapes


def test_another_size_than_the_given_one_does_not_train(image):
    with pytest.raises(ValueError, match=r"\[8, 8, 8\].*\[4, 4, 8\]"):
        sized(8, 8, 8)(image)


def test_an_optimiser_made_before_the_first_image_trains_the_dense_layers(image):
    network = tiny()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    network(image).reconstruction.square().mean().backward()
    before = deepcopy(network.autoencoder.dense.state_dict())
    optimizer.step()
    for name, weight in network.autoencoder.dense.state_dict().items():
        assert not torch.equal(weight, before[name])


def test_trained_weights_load_strictly_into_a_network_that_never_ran(trained, tmp_path: Path):
    save_file(trained.state_dict(), tmp_path / "model.safetensors")
    other = tiny().eval()
    other.load_state_dict(load_file(tmp_path / "model.safetensors"), strict=True)
    larger = torch.rand(1, 2, 6, 10, 8)
    with torch.inference_mode():
        torch.testing.assert_close(other(larger), trained.eval()(larger), rtol=0, atol=0)


def test_untrained_weights_are_saved_too(tmp_path: Path):
    save_file(tiny().state_dict(), tmp_path / "model.safetensors")
    tiny().load_state_dict(load_file(tmp_path / "model.safetensors"), strict=True)


def test_training_goes_on_from_loaded_weights(trained, image):
    other = tiny()
    other.load_state_dict(trained.state_dict())
    torch.manual_seed(1)
    expected = trained(image)
    torch.manual_seed(1)
    torch.testing.assert_close(other(image), expected, rtol=0, atol=0)


@pytest.mark.parametrize("sizes", [(8, 4, 4), (4, 4, 4), (8, 8, 8)])
def test_training_at_another_size_names_both_sizes(trained, sizes):
    other = tiny()
    other.load_state_dict(trained.state_dict())
    for network in (trained, other):
        with pytest.raises(ValueError, match=r"\[4, 4, 8\].*" + str([*sizes]).replace("[", r"\[")):
            network(torch.rand(1, 2, *sizes))


def test_sizes_are_multiples_of_16_in_training_and_of_8_in_evaluation():
    with torch.device("meta"):
        network, image = ResNetVAE(3, 1, 2), torch.empty(1, 1, 16, 16, 24)
    assert network.divisor == network.smallest == 16
    with pytest.raises(ValueError, match="size 24 is not a multiple of 16"):
        network(image)
    assert network.eval().divisor == 8
    assert network(image).shape == (1, 2, 16, 16, 24)
    with pytest.raises(ValueError, match="size 20 is not a multiple of 8"):
        network(torch.empty(1, 1, 16, 16, 20, device="meta"))


# torch 2.13 deprecates its own TorchScript, which MONAI's ckpt_export needs
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_trained_network_scripts_and_segments_another_size(trained):
    larger = torch.rand(1, 2, 6, 10, 8)
    with torch.inference_mode():
        scripted = torch.jit.script(trained.eval())(larger)
        torch.testing.assert_close(scripted, trained(larger))


def test_features_and_depths_go_together():
    with pytest.raises(ValueError, match="2 features for 3 depths"):
        ResNetVAE(2, 1, 2, features=(4, 8), depths=(1, 1, 1))
