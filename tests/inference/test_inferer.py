"""The windows of a bundle as MONAI's engines call them."""

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.inferers import sliding_window_inference
from torch import nn

from pipeline.errors import UserError
from pipeline.inference.engine import blended
from pipeline.inference.inferer import DomainWindows, Windows
from pipeline.inference.plan import Windowing, plan_windows
from tests.inference.networks import convolution, filed, image, of_numpy


class Recorder(nn.Module):
    """Gives the image and its negative, and remembers what it was called with."""

    def __init__(self, divisor=1):
        super().__init__()
        self.divisor = divisor
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
    logits = Windows(len(patch_size), patch_size)(image, Recorder())
    torch.testing.assert_close(logits, torch.cat([image, -image], dim=1))


def test_slices_are_taken_across_the_last_axis_sixteen_at_once():
    network = Recorder()
    Windows(2, (8, 6))(volume(8, 6, 20), network)
    assert network.shapes == [(16, 1, 8, 6), (4, 1, 8, 6)]


def test_slices_do_not_leak_into_each_other():
    image = volume(6, 6, 3)
    other = image.clone()
    other[..., 2] = 0
    inferer = Windows(2, (4, 4))
    assert torch.equal(inferer(image, Recorder())[..., :2], inferer(other, Recorder())[..., :2])


def test_windows_of_a_volume_come_one_at_once():
    network = Recorder()
    Windows(3, (4, 4, 4))(volume(4, 4, 6), network)
    assert network.shapes == [(1, 1, 4, 4, 4)] * 2


def test_windows_overlap_by_the_fraction_that_is_asked_for():
    network = Recorder()
    Windows(2, (4, 4), overlap=0.5, batch_size=1)(volume(4, 8, 1), network)
    assert len(network.shapes) == 3
    network = Recorder()
    Windows(2, (4, 4), overlap=0.0, batch_size=1)(volume(4, 8, 1), network)
    assert len(network.shapes) == 2


@pytest.mark.parametrize("patch_size", [(4, 4, 4), (4, 4), "whole"])
def test_what_is_given_besides_reaches_the_network(patch_size):
    network = Recorder()
    Windows(2 if len(patch_size) == 2 else 3, patch_size)(volume(5, 5, 5), network, domain="brats")
    assert network.domains == {"brats"}


def test_one_inferer_serves_volumes_of_several_sizes():
    inferer = Windows(2, (4, 4))
    for shape in [(5, 6, 7), (9, 3, 1)]:
        assert inferer(volume(*shape), Recorder()).shape == (1, 2, *shape)


def test_a_config_turns_3d_by_two_keys():
    config = {
        "spatial_dims": 2,
        "patch_size": [4, 4],
        "inferer": {
            "_target_": "pipeline.inference.inferer.Windows",
            "spatial_dims": "@spatial_dims",
            "patch_size": "@patch_size",
        },
    }
    for change in ({}, {"spatial_dims": 3, "patch_size": [4, 4, 4]}):
        inferer = ConfigParser(config | change).get_parsed_content("inferer")
        assert inferer(volume(5, 5, 5), Recorder()).shape == (1, 2, 5, 5, 5)


def test_a_whole_volume_is_one_window_rounded_up_to_what_the_network_divides_by():
    image = volume(9, 8, 5)
    network = Recorder(divisor=4)
    logits = Windows(3, "whole")(image, network)
    assert network.shapes == [(1, 1, 12, 8, 8)]
    assert torch.equal(logits, torch.cat([image, -image], dim=1))
    own = Recorder(divisor=4)
    Windows(3, "whole", divisor=16)(image, own)
    assert own.shapes == [(1, 1, 32, 16, 16)]  # two voxels at the coarsest resolution
    slices = Recorder(divisor=4)
    Windows(2, "whole")(image, slices)
    assert slices.shapes == [(5, 1, 12, 8)]


def test_windows_are_told_as_plain_data():
    inferer = Windows(2, [4, 6], overlap=0.25, mode="constant", mirror=[0, 1])
    assert inferer.windowing(8) == Windowing(2, (4, 6), 8, 0.25, "constant", (0, 1))
    whole = Windows(3, "whole", divisor=16)
    assert whole.windowing(8) == Windowing(3, None, 16)


@pytest.mark.parametrize("patch_size", [(8, 6, 4), (8, 6), "whole"])
@pytest.mark.parametrize("mirror", [(), (0, 2)])
def test_logits_are_those_of_the_engine(tmp_path, patch_size, mirror):
    dims = 2 if len(patch_size) == 2 else 3
    network, array = convolution(dims, 2, 3), image(2, 13, 11, 10)
    array[:, :10] = 0  # so that some windows are empty
    inferer = Windows(dims, patch_size, mirror=mirror, batch_size=3)
    occupied = np.array([True, True]).reshape(2, 1, 1) & np.ones((2, 2, 2), bool)
    occupied[0] = False
    plan = plan_windows((13, 11, 10), inferer.windowing(), occupied)
    parts = blended(filed(array, 2, tmp_path), plan, 2, of_numpy(network), 3, 1, mirror)
    expected = np.moveaxis(np.concatenate([logits for _, logits in parts]), 0, -1)
    found = inferer(torch.from_numpy(array)[None], network)
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_logits_are_those_of_monai_where_windows_lie_alike():
    network, array = convolution(3, 2, 3), torch.from_numpy(image(2, 12, 9, 10))[None]
    expected = sliding_window_inference(array, (8, 6, 4), 1, network, 0.5, "gaussian")
    found = Windows(3, (8, 6, 4), batch_size=4)(array, network)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_every_image_of_a_batch_has_its_own_windows():
    images = torch.cat([volume(4, 4, 6), torch.zeros(1, 1, 4, 4, 6)])
    logits = Windows(3, (4, 4, 4))(images, Recorder())
    torch.testing.assert_close(logits[:1], torch.cat([images[:1], -images[:1]], dim=1))
    assert (logits[1, 0] == -30).all()
    assert (logits[1, 1] == -60).all()


def test_logits_know_where_the_image_lies():
    affine = torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0], dtype=torch.float64))
    image = MetaTensor(volume(4, 4, 6), affine=affine)
    logits = Windows(3, (4, 4, 4))(image, Recorder())
    assert torch.equal(logits.affine, affine)


@pytest.mark.parametrize("patch_size", [(4, 4, 4), "whole"])
def test_logits_are_floats_under_autocast(patch_size):
    image, network = torch.rand(1, 2, 6, 5, 4), convolution(3, 2, 3)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        logits = Windows(3, patch_size, mirror=(0,))(image, network)
    assert logits.dtype == torch.float32
    expected = Windows(3, patch_size, mirror=(0,))(image, network)
    torch.testing.assert_close(logits, expected, atol=0.05, rtol=0)


def test_a_network_blind_to_mirroring_gives_its_own_logits():
    image = torch.rand(1, 2, 4, 5, 3)
    mirrored = Windows(3, "whole", mirror=(0, 1, 2))(image, lambda x: 2 * x)
    assert torch.allclose(mirrored, 2 * image)


def test_what_points_one_way_is_averaged_away():
    image = torch.rand(1, 1, 4, 5, 3)
    ramp = torch.arange(4.0)[:, None, None]  # along the first axis, whatever the image
    mirrored = Windows(3, "whole", mirror=(0,))(image, lambda x: x + ramp)
    assert torch.allclose(mirrored, image + 1.5)


def test_each_subset_of_the_axes_is_asked_for_once():
    calls = []
    Windows(3, "whole", mirror=(0, 2))(torch.rand(1, 1, 2, 2, 2), lambda x: calls.append(x) or x)
    assert len(calls) == 4
    assert len({tuple(call.flatten().tolist()) for call in calls}) == 4


def test_a_window_needs_one_number_an_axis():
    with pytest.raises(UserError, match="does not fit spatial_dims 3"):
        Windows(3, (96, 96))
    with pytest.raises(UserError, match="list of voxels or the word whole, not 'hole'"):
        Windows(3, "hole")


def test_domains_are_told_as_plain_data():
    domains = {"brain": {"patch_size": [8, 8, 8]}, "heart": {"patch_size": "whole"}}
    brain = DomainWindows(domains, "brain", spatial_dims=3, overlap=0.25)
    assert brain.windowing() == Windowing(3, (8, 8, 8), overlap=0.25)
    heart = DomainWindows(domains, "heart", spatial_dims=3)
    assert heart.windowing(4) == Windowing(3, None, 4)
