import pytest
import torch
from monai.bundle import ConfigParser
from torch import nn

from pipeline.errors import UserError
from pipeline.inference import windows


class Recorder(nn.Module):
    """Gives the image and its negative, and remembers what it was called with."""

    def __init__(self):
        super().__init__()
        self.shapes = []
        self.domains = set()

    def forward(self, image, domain=None):
        self.shapes.append(tuple(image.shape))
        self.domains.add(domain)
        return torch.cat([image, -image], dim=1)


def volume(*shape):
    return torch.arange(1.0, 1 + torch.Size(shape).numel()).reshape(1, 1, *shape)


@pytest.mark.parametrize(
    ("patch_size", "shape"),
    [
        ((4, 4, 4), (7, 6, 5)),
        ((4, 4, 4), (3, 2, 1)),
        ((4, 6), (7, 8, 5)),
        ((4, 6), (3, 2, 5)),
        ((4, 6), (7, 8, 1)),
        ((4, 6), (3, 9, 1)),
    ],
)
def test_logits_lie_on_the_grid_of_the_image(patch_size, shape):
    image = volume(*shape)
    logits = windows(len(patch_size), patch_size)(image, Recorder())
    torch.testing.assert_close(logits, torch.cat([image, -image], dim=1))


def test_slices_are_taken_across_the_last_axis_sixteen_at_once():
    network = Recorder()
    windows(2, (8, 6))(volume(8, 6, 20), network)
    assert network.shapes == [(16, 1, 8, 6), (4, 1, 8, 6)]


def test_slices_do_not_leak_into_each_other():
    image = volume(6, 6, 3)
    other = image.clone()
    other[..., 2] = 0
    inferer = windows(2, (4, 4))
    assert torch.equal(inferer(image, Recorder())[..., :2], inferer(other, Recorder())[..., :2])


def test_windows_of_a_volume_come_one_at_once():
    network = Recorder()
    windows(3, (4, 4, 4))(volume(4, 4, 6), network)
    assert network.shapes == [(1, 1, 4, 4, 4)] * 2


def test_windows_overlap_by_the_fraction_that_is_asked_for():
    network = Recorder()
    windows(2, (4, 4), overlap=0.5, batch_size=1)(volume(4, 8, 1), network)
    assert len(network.shapes) == 3
    network = Recorder()
    windows(2, (4, 4), overlap=0.0, batch_size=1)(volume(4, 8, 1), network)
    assert len(network.shapes) == 2


@pytest.mark.parametrize("patch_size", [(4, 4, 4), (4, 4)])
def test_what_is_given_besides_reaches_the_network(patch_size):
    network = Recorder()
    windows(len(patch_size), patch_size)(volume(5, 5, 5), network, domain="brats")
    assert network.domains == {"brats"}


def test_one_inferer_serves_volumes_of_several_sizes():
    inferer = windows(2, (4, 4))
    for shape in [(5, 6, 7), (9, 3, 1)]:
        assert inferer(volume(*shape), Recorder()).shape == (1, 2, *shape)


def test_a_config_turns_3d_by_two_keys():
    config = {
        "spatial_dims": 2,
        "patch_size": [4, 4],
        "inferer": {
            "_target_": "pipeline.inference.windows",
            "spatial_dims": "@spatial_dims",
            "patch_size": "@patch_size",
        },
    }
    for change in ({}, {"spatial_dims": 3, "patch_size": [4, 4, 4]}):
        inferer = ConfigParser(config | change).get_parsed_content("inferer")
        assert inferer(volume(5, 5, 5), Recorder()).shape == (1, 2, 5, 5, 5)


def test_a_window_needs_one_number_an_axis():
    with pytest.raises(UserError, match="has 2 numbers and spatial_dims is 3"):
        windows(3, (96, 96))
