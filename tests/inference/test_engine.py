"""Logits of a volume from windows, against the plain way: everything in memory at once."""

import tracemalloc
from itertools import chain, combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.inferers import sliding_window_inference

from pipeline.inference.engine import OutOfMemory, blended, ring_bytes
from pipeline.inference.plan import Windowing, importance, plan_windows
from tests.inference.networks import convolution, filed, image, of_numpy
from tests.inference.test_preparing import FIXED

CUBES = Windowing(3, (8, 6, 4))


def whole(volume, plan, slab_axis, network, out_channels, folder, batch_size=1, mirror=()):
    """All of what ``blended`` gives, (K, *S)."""
    planes = filed(volume, slab_axis, folder)
    parts = list(blended(planes, plan, slab_axis, network, out_channels, batch_size, mirror))
    lengths = [len(logits) for _, logits in parts]
    assert [first for first, _ in parts] == [sum(lengths[:i]) for i in range(len(parts))]
    return np.moveaxis(np.concatenate([logits for _, logits in parts]), 0, 1 + slab_axis)


def naive(volume, plan, network, mode):
    """The weighted mean of 3 logits over windows of which none reaches beyond the volume."""
    total, weight = np.zeros((3, *plan.shape), np.float32), np.zeros(plan.shape, np.float32)
    for start in plan.starts:
        inside = tuple(slice(at, at + size) for at, size in zip(start, plan.size, strict=True))
        total[:, *inside] += network(volume[None, :, *inside])[0] * importance(plan.size, mode)
        weight[inside] += importance(plan.size, mode)
    return total / weight


def repeated(count):
    """A network that gives an image of one channel ``count`` times."""
    return lambda windows: np.repeat(windows, count, axis=1)


def mirrored(network, axes):
    """The mean over all mirror images of what a window holds."""

    def mean(window):
        subsets = list(chain.from_iterable(combinations(axes, n) for n in range(1 + len(axes))))
        turned = [[2 + axis for axis in subset] for subset in subsets]
        return sum(np.flip(network(np.flip(window, f).copy()), f) for f in turned) / len(turned)

    return mean


@pytest.mark.parametrize("slab_axis", [0, 1, 2])
@pytest.mark.parametrize("mode", ["gaussian", "constant"])
@pytest.mark.parametrize("shape", [(11, 13, 9), (8, 6, 30), (20, 6, 4)])
def test_logits_are_the_weighted_mean_of_the_windows(tmp_path, slab_axis, mode, shape):
    volume, network = image(2, *shape), of_numpy(convolution(3, 2, 3))
    plan = plan_windows(shape, Windowing(3, (8, 6, 4), mode=mode))
    found = whole(volume, plan, slab_axis, network, 3, tmp_path)
    np.testing.assert_allclose(found, naive(volume, plan, network, mode), atol=1e-5)


@pytest.mark.parametrize("slab_axis", [0, 1, 2])
@pytest.mark.parametrize("shape", [(12, 9, 10), (3, 4, 1), (12, 4, 4)])
def test_logits_are_those_of_monai_where_windows_lie_alike(tmp_path, slab_axis, shape):
    volume, network = image(2, *shape), convolution(3, 2, 3)
    plan = plan_windows(shape, Windowing(3, (8, 6, 4)))
    found = whole(volume, plan, slab_axis, of_numpy(network), 3, tmp_path)
    expected = sliding_window_inference(
        torch.from_numpy(volume)[None], (8, 6, 4), 1, network, overlap=0.5, mode="gaussian"
    )
    np.testing.assert_allclose(found, expected[0], atol=1e-5)


@pytest.mark.parametrize("slab_axis", [0, 1, 2])
def test_slices_are_windows_of_a_network_of_2d(tmp_path, slab_axis):
    volume, network = image(1, 9, 10, 5), convolution(2, 1, 2)
    plan = plan_windows((9, 10, 5), Windowing(2, (6, 10)))
    found = whole(volume, plan, slab_axis, of_numpy(network), 2, tmp_path, batch_size=3)
    for z in range(5):
        expected = sliding_window_inference(
            torch.from_numpy(volume)[None, ..., z], (6, 10), 1, network, 0.5, "gaussian"
        )
        np.testing.assert_allclose(found[..., z], expected[0], atol=1e-5)


@pytest.mark.parametrize("slab_axis", [0, 1, 2])
def test_one_window_gives_the_logits_themselves(tmp_path, slab_axis):
    volume, network = image(1, 40, 20, 18), of_numpy(convolution(3, 1, 2))
    plan = plan_windows((40, 20, 18), Windowing(3, None, divisor=8))
    padded = np.pad(volume, ((0, 0), (0, 0), (2, 2), (3, 3)))
    expected = network(padded[None])[0, :, :, 2:-2, 3:-3]
    np.testing.assert_array_equal(whole(volume, plan, slab_axis, network, 2, tmp_path), expected)


def test_windows_that_share_no_voxel_give_the_logits_themselves(tmp_path):
    volume, network = image(1, 6, 6, 5), of_numpy(convolution(2, 1, 2))
    plan = plan_windows((6, 6, 5), Windowing(2, (6, 6)))
    expected = np.stack([network(volume[None, ..., z])[0] for z in range(5)], axis=-1)
    np.testing.assert_array_equal(whole(volume, plan, 2, network, 2, tmp_path), expected)


@pytest.mark.parametrize("mirror", [(), (0, 2)])
def test_the_batch_changes_no_bit(tmp_path, mirror):
    volume = image(2, 15, 14, 13)
    plan = plan_windows((15, 14, 13), CUBES)

    def network(windows):  # whose own result depends on no other window
        return np.stack([np.stack([one[0] * one[1], -one[0]]).cumsum(axis=1) for one in windows])

    found = [whole(volume, plan, 2, network, 2, tmp_path, size, mirror) for size in (1, 3, 64)]
    assert (found[0] == found[1]).all()
    assert (found[0] == found[2]).all()


@pytest.mark.parametrize("shape", [(11, 13, 9), (8, 6, 4)])
def test_mirror_images_are_turned_back_and_averaged(tmp_path, shape):
    volume, network = image(2, *shape), of_numpy(convolution(3, 2, 3))
    plan = plan_windows(shape, CUBES)
    found = whole(volume, plan, 1, network, 3, tmp_path, batch_size=3, mirror=(0, 1, 2))
    expected = naive(volume, plan, mirrored(network, (0, 1, 2)), "gaussian")
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_slices_are_mirrored_within_themselves(tmp_path):
    volume, network = image(1, 6, 8, 3), of_numpy(convolution(2, 1, 2))
    plan = plan_windows((6, 8, 3), Windowing(2, (6, 8)))
    found = whole(volume, plan, 2, network, 2, tmp_path, mirror=(0, 1, 2))
    mean = mirrored(network, (0, 1))
    expected = np.stack([mean(volume[None, ..., z])[0] for z in range(3)], axis=-1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("slab_axis", [0, 1, 2])
def test_where_no_window_is_nothing_is_found(tmp_path, slab_axis):
    occupied = np.zeros((5, 1, 1), bool)
    occupied[[0, 4]] = True
    plan = plan_windows((40, 8, 8), Windowing(3, (8, 8, 8)), occupied)
    found = whole(image(1, 40, 8, 8), plan, slab_axis, repeated(3), 3, tmp_path)
    between = found[:, 12:28]
    assert (between[0] == -30).all()
    assert (between[1:] == -60).all()
    assert (found[:, :12] > 0).all()
    assert (found[:, 28:] > 0).all()


def test_an_empty_volume_never_reaches_the_network(tmp_path):
    plan = plan_windows((20, 8, 8), Windowing(3, (8, 8, 8)), np.zeros((3, 1, 1), bool))
    found = whole(image(1, 20, 8, 8), plan, 0, None, 2, tmp_path)
    assert found[0].max() == -30
    assert found[1].max() == -60


class Small:
    """A network with memory for so many windows at once."""

    def __init__(self, room):
        self.room = room
        self.batches = []

    def __call__(self, windows):
        self.batches.append(len(windows))
        if len(windows) > self.room:
            raise OutOfMemory
        return windows


def test_out_of_memory_halves_the_batch_and_says_so_once(tmp_path, capsys):
    volume, network = image(1, 8, 8, 80), Small(3)
    plan = plan_windows((8, 8, 80), Windowing(3, (8, 8, 8)))
    found = whole(volume, plan, 2, network, 1, tmp_path, batch_size=8)
    assert network.batches == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1]
    np.testing.assert_allclose(found, volume, rtol=1e-6)
    told = capsys.readouterr().err
    assert told.splitlines() == [
        "out of memory with 8 windows at once: goes on with 4",
        "out of memory with 4 windows at once: goes on with 2",
    ]
    whole(volume, plan, 2, Small(3), 1, tmp_path, batch_size=8)
    assert not capsys.readouterr().err


def test_out_of_memory_with_one_window_is_not_hidden(tmp_path):
    plan = plan_windows((8, 8, 20), Windowing(3, (8, 8, 8)))
    with pytest.raises(OutOfMemory):
        whole(image(1, 8, 8, 20), plan, 2, Small(0), 1, tmp_path)


@pytest.mark.parametrize("slab_axis", [0, 1, 2])
def test_memory_is_that_of_a_window_however_long_the_volume(tmp_path, slab_axis):
    shape = [24, 24, 24]
    shape[slab_axis] = 200
    occupied = np.ones([-(-side // 8) for side in shape], bool)
    occupied.swapaxes(0, slab_axis)[8:14] = False
    plan = plan_windows(tuple(shape), Windowing(3, (16, 16, 16)), occupied)
    planes = filed(image(1, *shape), slab_axis, tmp_path)
    tracemalloc.start()
    for _, _ in blended(planes, plan, slab_axis, repeated(8), 8, 1):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    one_batch = 4 * 16**3 * (1 + 2 * 8)
    assert peak < ring_bytes(plan, slab_axis, 1, 8) + one_batch + 2**16
    assert peak < 4 * 8 * 24 * 24 * 200


sides = st.tuples(*3 * [st.integers(1, 24)])


@settings(FIXED, max_examples=40)
@given(sides, sides, st.integers(0, 2), st.sampled_from([0.0, 0.5, 0.75]))
def test_logits_lie_where_the_window_was(tmp_path_factory, shape, size, axis, overlap):
    plan = plan_windows(shape, Windowing(3, size, overlap=overlap))
    volume = image(2, *shape)
    folder = tmp_path_factory.mktemp("planes")
    found = whole(volume, plan, axis, lambda x: -x, 2, folder, batch_size=5)
    np.testing.assert_allclose(found, -volume, rtol=1e-5)
