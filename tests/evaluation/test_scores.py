import math

import numpy as np
import pytest
import surface_distance
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance
from scipy import ndimage

from pipeline.errors import UserError
from pipeline.evaluation.rules import BRATS, find_rule
from pipeline.evaluation.scores import score_case

UNIT = (1.0, 1.0, 1.0)
FRACTIONS = ("dice", "iou", "nsd", "sensitivity", "precision", "lesion_dice")
DISTANCES = ("hd95_mm", "hd_mm", "assd_mm", "lesion_hd95_mm")


def box(corner, size, shape=(16, 16, 16)):
    mask = np.zeros(shape, dtype=bool)
    mask[
        tuple(slice(start, start + length) for start, length in zip(corner, size, strict=True))
    ] = 1
    return mask


def blobs(seed, shape=(14, 17, 11)):
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, 1.5) > 0.06


def example(seed):
    """Two regions and an anisotropic spacing."""
    spacing = np.random.default_rng(seed).uniform(0.3, 4, size=3).tolist()
    return blobs(seed), blobs(seed + 100), spacing


def brute_distances(first, second, spacing):
    """From each surface voxel of one to the nearest of the other, over all pairs."""
    rims = []
    for mask in (first, second):
        voxels = {tuple(voxel) for voxel in np.argwhere(mask)}
        faces = np.concatenate((np.eye(3, dtype=int), -np.eye(3, dtype=int)))
        rims.append(
            [voxel for voxel in voxels if any(tuple(voxel + face) not in voxels for face in faces)]
        )
    offsets = np.array(rims[0])[:, None] - np.array(rims[1])[None]
    distances = np.sqrt(((offsets * spacing) ** 2).sum(axis=-1))
    return distances.min(axis=1), distances.min(axis=0)


def surface_dice(first, second, spacing, tolerance_mm):
    """By the library whose definition it is."""
    distances = surface_distance.compute_surface_distances(second, first, spacing)
    return surface_distance.compute_surface_dice_at_tolerance(distances, tolerance_mm)


def test_a_region_matches_itself_perfectly():
    cube = box((2, 3, 4), (5, 6, 7))
    scores = score_case(cube, cube, UNIT)
    assert (scores.dice, scores.iou, scores.nsd, scores.lesion_dice) == (1, 1, 1, 1)
    assert (scores.sensitivity, scores.precision) == (1, 1)
    assert (scores.hd95_mm, scores.hd_mm, scores.assd_mm, scores.lesion_hd95_mm) == (0, 0, 0, 0)


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
    scores = score_case(stray, cube, UNIT)
    assert (scores.dice, scores.hd95_mm) == (2000 / 2001, 0.0)
    assert scores.hd_mm == pytest.approx(75**0.5)  # five voxels along each axis


def test_distances_are_taken_between_surfaces():
    # The hollow of the shell is 7 voxels wide: the core's surface lies 3 voxels inside it.
    shell = box((0, 0, 0), (9, 9, 9)) & ~box((1, 1, 1), (7, 7, 7))
    core = box((4, 4, 4), (1, 1, 1))
    solid = box((0, 0, 0), (9, 9, 9))
    assert score_case(core, shell, UNIT).hd95_mm == score_case(core, solid, UNIT).hd95_mm
    assert score_case(shell, solid, UNIT).hd95_mm == 0


def test_overlap_counts_voxels():
    # 4x4x4 = 64 predicted, 4x4x8 = 128 true, 4x4x3 = 48 in common.
    scores = score_case(box((0, 0, 0), (4, 4, 4)), box((0, 0, 1), (4, 4, 8)), UNIT)
    assert scores.dice == 96 / 192
    assert scores.iou == 48 / 144
    assert scores.sensitivity == 48 / 128
    assert scores.precision == 48 / 64


def test_volumes_are_millilitres_and_their_error_has_a_sign():
    # A voxel of 2 x 5 x 10 mm is 0.1 ml.
    scores = score_case(box((0, 0, 0), (2, 2, 2)), box((0, 0, 0), (2, 2, 3)), (2, 5, 10))
    assert scores.volume_ml == pytest.approx(0.8)
    assert scores.reference_ml == pytest.approx(1.2)
    assert scores.volume_error_ml == pytest.approx(-0.4)


def test_average_distance_is_over_the_surface_voxels_of_both():
    # Of the line 0, 1, 2, 3, 4 voxels of 2 mm to its end; of the end, 0.
    line, end = box((0, 0, 0), (5, 1, 1)), box((0, 0, 0), (1, 1, 1))
    assert score_case(line, end, (2, 1, 1)).assd_mm == pytest.approx((0 + 2 + 4 + 6 + 8 + 0) / 6)


@pytest.mark.parametrize(("tolerance_mm", "agrees"), [(3.9, False), (4.0, True)])
def test_surfaces_agree_up_to_the_tolerance(tolerance_mm, agrees):
    # Equal cubes two voxels of 2 mm apart: no surface of one is farther than 4 mm from the other.
    first, second = box((2, 2, 2), (4, 4, 3)), box((2, 2, 4), (4, 4, 3))
    nsd = score_case(first, second, (1, 1, 2), tolerance_mm).nsd
    assert (nsd == 1) == agrees
    assert 0 < nsd <= 1


@pytest.mark.parametrize("corner", range(1, 8))
def test_the_tolerance_is_kept_wherever_the_region_lies(corner):
    # Two voxels of 0.8 mm are 1.6 mm, although 3 * 0.8 - 1 * 0.8 is more in floating point.
    first, second = box((corner, 2, 2), (6, 6, 6)), box((corner + 2, 2, 2), (6, 6, 6))
    assert score_case(first, second, (0.8, 0.8, 0.8), 2 * 0.8).nsd == 1


def test_an_image_of_one_slice_is_scored_as_a_plane():
    flat = [box((2, 2), (5, 5), (16, 16)), box((2, 4), (5, 5), (16, 16))]
    slabs = [mask[..., None] for mask in flat]
    plane, slab = score_case(*flat, (1, 2)), score_case(*slabs, (1, 2, 1))
    assert slab == plane
    assert plane.hd_mm == 4


def test_nothing_where_there_is_nothing_is_perfect():
    nothing = np.zeros((4, 4, 4), dtype=bool)
    scores = score_case(nothing, nothing, UNIT)
    assert [getattr(scores, name) for name in FRACTIONS] == [1] * len(FRACTIONS)
    assert [getattr(scores, name) for name in DISTANCES] == [0] * len(DISTANCES)


@pytest.mark.parametrize("swapped", [False, True])
def test_one_empty_region_costs_the_diagonal_of_a_brats_image(swapped):
    nothing, cube = np.zeros((16, 16, 16), dtype=bool), box((2, 2, 2), (4, 4, 4))
    scores = score_case(*((cube, nothing) if swapped else (nothing, cube)), UNIT)
    assert [getattr(scores, name) for name in FRACTIONS] == [0] * len(FRACTIONS)
    assert [scores.hd95_mm, scores.hd_mm, scores.assd_mm] == [373.13] * 3
    assert scores.lesion_hd95_mm == 374
    diagonal = BRATS.one_empty.distance_mm
    assert diagonal == pytest.approx(np.linalg.norm((240, 240, 155)), abs=0.005)


@pytest.mark.parametrize("rule", ["nan", "skip"])
def test_other_rules_leave_undefined_what_has_no_answer(rule):
    nothing, cube = np.zeros((16, 16, 16), dtype=bool), box((2, 2, 2), (4, 4, 4))
    neither = score_case(nothing, nothing, UNIT, empty_rule=find_rule(rule))
    assert all(math.isnan(getattr(neither, name)) for name in FRACTIONS + DISTANCES)
    missed = score_case(nothing, cube, UNIT, empty_rule=find_rule(rule))
    assert (missed.dice, missed.iou, missed.nsd, missed.sensitivity) == (0, 0, 0, 0)
    undefined = missed.precision, missed.hd95_mm, missed.hd_mm, missed.assd_mm
    assert all(math.isnan(number) for number in undefined)


def test_an_unknown_rule_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match="brats, nan, skip"):
        find_rule("zero")


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
def test_distances_are_those_of_monai(seed):
    first, second, spacing = example(seed)
    masks = first[None, None], second[None, None]
    options = {"include_background": True, "spacing": spacing}
    scores = score_case(first, second, spacing)
    for number, expected in (
        (scores.hd95_mm, compute_hausdorff_distance(*masks, percentile=95, **options)),
        (scores.hd_mm, compute_hausdorff_distance(*masks, **options)),
        (scores.assd_mm, compute_average_surface_distance(*masks, symmetric=True, **options)),
    ):
        assert number == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_distances_are_those_of_every_pair_of_surface_voxels(seed):
    first, second, spacing = example(seed)
    there, back = brute_distances(first, second, spacing)
    scores = score_case(first, second, spacing)
    assert scores.hd_mm == pytest.approx(max(there.max(), back.max()), rel=1e-12)
    assert scores.assd_mm == pytest.approx(np.concatenate((there, back)).mean(), rel=1e-12)
    percentiles = np.percentile(there, 95), np.percentile(back, 95)
    assert scores.hd95_mm == pytest.approx(max(percentiles), rel=1e-12)


@pytest.mark.filterwarnings(
    "ignore:Please (import|use)"
)  # surface-distance 0.1 on scipy's old names
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("tolerance_mm", [0.0, 1.0, 2.5])
def test_surface_dice_is_that_of_surface_distance(seed, tolerance_mm):
    first, second, spacing = example(seed)
    expected = surface_dice(first, second, spacing, tolerance_mm)
    assert score_case(first, second, spacing, tolerance_mm).nsd == pytest.approx(expected, abs=1e-9)


@pytest.mark.filterwarnings("ignore:Please (import|use)")
def test_surface_dice_of_a_plane_is_that_of_surface_distance():
    first, second = blobs(3)[..., 5], blobs(4)[..., 5]
    expected = surface_dice(first, second, (0.7, 1.3), 1.0)
    assert score_case(first, second, (0.7, 1.3)).nsd == pytest.approx(expected, abs=1e-9)
