"""What is known of the machine and of a network before anything runs."""

import os

import pytest
import torch
from torch import nn

from pipeline.inference.backends.eager import lay_out
from pipeline.inference.backends.footprint import bytes_per_voxel
from pipeline.inference.backends.machine import card_of, cores
from pipeline.networks import ResNetVAE


def test_cores_are_those_that_the_process_may_use(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert cores() == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert 1 <= cores() <= os.cpu_count()


@pytest.mark.parametrize(
    ("activation", "floats"),
    [
        (nn.ReLU(), 4 + 8 + 8),  # image, convolution, activation
        (nn.ReLU(inplace=True), 4 + 8 + 2),  # image, convolution, the next one
    ],
)
def test_what_lives_at_once_is_counted(activation, floats):
    network = nn.Sequential(nn.Conv3d(4, 8, 1), activation, nn.Conv3d(8, 2, 1)).eval()
    assert bytes_per_voxel(network, 4, (6, 5, 4)) == 4 * floats


def test_a_card_without_a_driver_goes_by_its_kind(monkeypatch):
    def missing(_name):
        raise OSError

    monkeypatch.setattr("ctypes.CDLL", missing)
    assert card_of("cuda:1") == "cuda"


def test_channels_last_are_for_the_tensors_that_can_have_them():
    network = ResNetVAE(3, 1, 1, features=(8, 8), depths=(1, 1), image_size=(16, 16, 16)).eval()
    image = torch.randn(1, 1, 16, 16, 16)
    with torch.inference_mode():
        before = network(image)
        lay_out(network, torch.channels_last_3d, 5)
        torch.testing.assert_close(network(image), before, rtol=1e-4, atol=1e-4)
    weight = next(one for one in network.parameters() if one.dim() == 5 and one.shape[1] > 1)
    assert weight.is_contiguous(memory_format=torch.channels_last_3d)
