import numpy as np
import pytest
from monai.metrics import compute_hausdorff_distance
from scipy import ndimage

from pipeline.evaluation.scores import BRATS, score_case

UNIT = (1.0, 1.0, 1.0)


def box(corner, size, shape=(16, 16, 16)):
    mask = np.zeros(shape, dtype=bool)
    mask[
        tuple(slice(start, start + length) for start, length in zip(corner, size, strict=True))
    ] = 1
    return mask


def blobs(seed, shape=(14, 17, 11)):
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, 1.5) > 0.06


def test_a_region_matches_itself_perfectly():
    cube = box((2, 3, 4), (5, 6, 7))
    assert score_case(cube, cube, UNIT) == (1.0, 0.0)


def test_dice_is_twice_the_common_voxels_over_all_voxels():
    first, second = box((0, 0, 0), (4, 4, 4)), box((1, 0, 0), (4, 4, 4))
    assert score_case(first, second, UNIT).dice == 2 * 48 / (64 + 64)


@pytest.mark.parametrize(
    ("spacing", "hd95_mm"), [((1, 1, 1), 5.0), ((2, 1, 1), 52**0.5), ((1, 3, 1), 153**0.5)]
)
def test_two_voxels_are_as_far_apart_as_the_spacing_says(spacing, hd95_mm):
    first, second = box((2, 2, 2), (1, 1, 1)), box((5, 6, 2), (1, 1, 1))
    scores = score_case(first, second, spacing)
    assert scores.dice == 0
    assert scores.hd95_mm == pytest.approx(hd95_mm, abs=1e-12)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_spacing_follows_the_axes_of_the_array(axis):
    corner = [0, 0, 0]
    corner[axis] = 4
    size = [16, 16, 16]
    size[axis] = 1
    spacing = (0.5, 2.0, 3.0)
    scores = score_case(box((0, 0, 0), size), box(corner, size), spacing)
    assert scores.hd95_mm == 4 * spacing[axis]


def test_five_percent_of_the_surface_may_be_farther():
    line, end = box((0, 0, 0), (21, 1, 1), (21, 3, 3)), box((0, 0, 0), (1, 1, 1), (21, 3, 3))
    # The 21 distances from the line are 0, 1, ... 20 voxels; their 95th percentile is 19.
    assert score_case(end, line, (2, 1, 1)).hd95_mm == 38
    assert score_case(line, end, (2, 1, 1)).hd95_mm == 38


def test_a_stray_voxel_does_not_move_the_distance():
    cube = box((1, 1, 1), (10, 10, 10))
    stray = cube | box((15, 15, 15), (1, 1, 1))
    assert score_case(stray, cube, UNIT) == (2000 / 2001, 0.0)


def test_distances_are_taken_between_surfaces():
    # The hollow of the shell is 7 voxels wide: the core's surface lies 3 voxels inside it.
    shell = box((0, 0, 0), (9, 9, 9)) & ~box((1, 1, 1), (7, 7, 7))
    core = box((4, 4, 4), (1, 1, 1))
    solid = box((0, 0, 0), (9, 9, 9))
    assert score_case(core, shell, UNIT).hd95_mm == score_case(core, solid, UNIT).hd95_mm
    assert score_case(shell, solid, UNIT).hd95_mm == 0


def test_nothing_where_there_is_nothing_is_perfect():
    nothing = np.zeros((4, 4, 4), dtype=bool)
    assert score_case(nothing, nothing, UNIT) == (1.0, 0.0)


def test_one_empty_region_costs_the_diagonal_of_a_brats_image():
    nothing, cube = np.zeros((16, 16, 16), dtype=bool), box((2, 2, 2), (3, 3, 3))
    assert score_case(nothing, cube, UNIT) == (0.0, 373.13)
    assert score_case(cube, nothing, UNIT) == (0.0, 373.13)
    assert BRATS.one_empty.hd95_mm == pytest.approx(np.linalg.norm((240, 240, 155)), abs=0.005)


def test_the_rest_of_the_image_does_not_change_the_scores():
    first, second = blobs(1), blobs(2)
    padded = [np.pad(mask, ((3, 9), (0, 5), (8, 1))) for mask in (first, second)]
    assert score_case(*padded, (1, 2, 3)) == score_case(first, second, (1, 2, 3))


def test_two_dimensional_regions_are_scored_too():
    first, second = box((0, 0), (8, 1), (8, 8)), box((0, 5), (8, 1), (8, 8))
    assert score_case(first, second, (1.0, 1.5)).hd95_mm == 7.5


def test_numbers_serve_as_regions():
    first, second = blobs(1), blobs(2)
    numbers = first.astype(np.uint8), 3 * second.astype(np.int16)
    assert score_case(*numbers, UNIT) == score_case(first, second, UNIT)


def test_different_shapes_are_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        score_case(box((0, 0, 0), (1, 1, 1)), box((0, 0), (1, 1), (16, 16)), UNIT)


# MONAI 1.6.1 passes an argument that it deprecates itself, and computes in single precision.
@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")
@pytest.mark.parametrize("seed", range(20))
def test_hd95_is_that_of_monai(seed):
    first, second = blobs(seed), blobs(seed + 100)
    spacing = np.random.default_rng(seed).uniform(0.3, 4, size=3).tolist()
    expected = compute_hausdorff_distance(
        first[None, None],
        second[None, None],
        include_background=True,
        percentile=95,
        directed=False,
        spacing=spacing,
    ).item()
    assert score_case(first, second, spacing).hd95_mm == pytest.approx(expected, rel=1e-6)
