"""Which windows a network sees."""

import math
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data.utils import compute_importance_map

from pipeline.errors import UserError
from pipeline.inference.plan import Windowing, importance, plan_windows
from tests.inference.test_preparing import FIXED

CUBES = Windowing(3, (4, 4, 4))
WHOLE = Windowing(3, None, divisor=16)
SLICES = Windowing(2, (8, 8))


def starts(shape, windowing, axis=0):
    return sorted({start[axis] for start in plan_windows(shape, windowing).starts})


def test_a_volume_that_fits_is_one_window():
    plan = plan_windows((4, 4, 4), CUBES)
    assert (plan.starts, plan.size, plan.alone) == (((0, 0, 0),), (4, 4, 4), True)


def test_windows_are_as_few_as_the_overlap_asks_for_and_evenly_placed():
    windowing = Windowing(3, (128, 128, 128))
    assert starts((129, 128, 128), windowing) == [0, 1]
    assert starts((192, 128, 128), windowing) == [0, 64]
    assert starts((193, 128, 128), windowing) == [0, 32, 65]
    assert starts((512, 128, 128), windowing) == [0, 64, 128, 192, 256, 320, 384]


def test_a_small_volume_lies_in_the_middle_of_its_window():
    plan = plan_windows((1, 2, 4), CUBES)
    assert plan.starts == ((-1, -1, 0),)
    assert plan.places(plan.starts[0]) == (
        (slice(0, 1), slice(0, 2), slice(0, 4)),
        (slice(1, 2), slice(1, 3), slice(0, 4)),
    )


def test_a_whole_window_is_rounded_up_to_the_divisor():
    plan = plan_windows((33, 16, 5), WHOLE)
    assert plan.size == (48, 16, 16)
    assert plan.starts == ((-7, 0, -5),)
    assert plan_windows((33, 16, 5), replace(WHOLE, spatial_dims=2)).size == (48, 16, 1)


def test_a_whole_window_has_two_voxels_at_the_coarsest_resolution():
    plan = plan_windows((3, 16, 5), WHOLE)
    assert plan.size == (32, 16, 16)
    assert plan.starts == ((-14, 0, -5),)


def test_a_network_of_2d_sees_every_axial_slice():
    plan = plan_windows((8, 8, 5), SLICES)
    assert plan.size == (8, 8, 1)
    assert plan.starts == tuple((0, 0, z) for z in range(5))


def test_windows_over_nothing_are_skipped():
    occupied = np.zeros((3, 1, 1), bool)
    occupied[2] = True  # voxels 16 to 23
    plan = plan_windows((24, 4, 4), Windowing(3, (8, 4, 4)), occupied)
    assert plan.starts == ((12, 0, 0), (16, 0, 0))
    assert plan.skipped == 3
    nothing = plan_windows((24, 4, 4), Windowing(3, (8, 4, 4)), np.zeros((3, 1, 1), bool))
    assert (nothing.starts, nothing.skipped) == ((), 5)


def test_a_plan_says_what_it_costs():
    plan = plan_windows((192, 128, 128), Windowing(3, (128, 128, 128)))
    assert plan.computed_over_needed == pytest.approx(4 / 3)
    assert plan.describe() == (
        "2 windows of 128 x 128 x 128 voxels over 192 x 128 x 128, 0 empty skipped",
        "1.33 voxels computed for each of the volume",
    )


def test_mirror_images_are_all_subsets_of_the_axes_that_have_two_sides():
    assert plan_windows((4, 4, 4), CUBES).flips((0, 2)) == ((), (0,), (2,), (0, 2))
    assert plan_windows((8, 8, 4), SLICES).flips((0, 2)) == ((), (0,))
    assert plan_windows((4, 4, 4), CUBES).flips(()) == ((),)


@pytest.mark.parametrize("mode", ["constant", "gaussian"])
@pytest.mark.parametrize("size", [(9, 4, 6), (8, 6, 1), (32, 24, 40)])
def test_importance_is_that_of_monai(mode, size):
    expected = compute_importance_map(size, mode=mode)
    torch.testing.assert_close(torch.from_numpy(importance(size, mode)), expected)


def test_windows_side_by_side_weigh_the_same():
    assert (plan_windows((8, 8, 3), SLICES).importance() == 1).all()
    assert (plan_windows((8, 8, 8), replace(CUBES, overlap=0.0)).importance() == 1).all()
    assert (plan_windows((6, 4, 4), CUBES).importance() != 1).any()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"overlap": 1.0}, r"overlap of the inferer is a fraction in \[0, 1\), not 1.0"),
        ({"mode": "gausian"}, "no mode 'gausian': did you mean gaussian"),
        ({"mirror": (1, 3)}, r"mirror takes axes from 0 to 2, not \[1, 3\]"),
    ],
)
def test_what_cannot_be_is_told(change, sentence):
    with pytest.raises(UserError, match=sentence):
        replace(CUBES, **change)


sides = st.tuples(*3 * [st.integers(1, 40)])
windowings = st.builds(
    Windowing,
    st.just(3),
    st.tuples(*3 * [st.integers(1, 16)]),
    overlap=st.sampled_from([0.0, 0.25, 0.5, 0.6, 0.9]),
)


@settings(FIXED, max_examples=60)
@given(sides, windowings)
def test_every_voxel_is_covered_and_neighbours_overlap_as_asked(shape, windowing):
    plan = plan_windows(shape, windowing)
    for axis, (length, size) in enumerate(zip(shape, plan.size, strict=True)):
        along = sorted({start[axis] for start in plan.starts})
        assert along[0] <= 0
        assert along[-1] + size >= length
        shared = [size - (after - before) for before, after in pairwise(along)]
        assert all(one >= min(size - 1, windowing.overlap * size - 1e-6) for one in shared)
    grid = [{start[axis] for start in plan.starts} for axis in range(3)]
    assert sorted(plan.starts) == sorted(product(*grid))
    assert len(plan.starts) == math.prod(map(len, grid))


@settings(FIXED, max_examples=40)
@given(st.integers(1, 200), st.integers(1, 32))
def test_windows_lie_as_their_mirror_images_where_rounding_allows(length, size):
    along = starts((length, 1, 1), Windowing(3, (size, 1, 1)))
    if len(along) > 1 and (length - size) % 2 == 0:
        assert along == [length - size - start for start in reversed(along)]
