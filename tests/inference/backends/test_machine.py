"""What is known of the machine and of a network before anything runs."""

import os

import pytest
from torch import nn

from pipeline.inference.backends.footprint import bytes_per_voxel
from pipeline.inference.backends.machine import cores


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
