import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pipeline.grids import corners, same_grid, spacing

TILT = Rotation.from_euler("xyz", (20, -35, 50), degrees=True).as_matrix()


def affine(linear, origin=(0, 0, 0)):
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = origin
    return matrix


def test_spacing_of_an_oblique_grid_is_that_along_its_own_axes():
    assert spacing(affine(TILT @ np.diag([0.5, 2, 3]))) == pytest.approx((0.5, 2, 3), abs=1e-12)


def test_spacing_follows_the_axes_of_the_array_not_those_of_the_scanner():
    permuted = [[0, 0, -3], [1, 0, 0], [0, 2, 0]]
    assert spacing(affine(permuted)) == (1, 2, 3)


def test_corners_are_voxel_centres_in_millimetres():
    found = corners((3, 2, 2), affine(np.diag([1, 10, 100]), origin=(5, 0, 0)))
    assert found.shape == (8, 3)
    assert sorted(map(tuple, found)) == [
        (x, y, z) for x in (5.0, 7.0) for y in (0.0, 10.0) for z in (0.0, 100.0)
    ]


def test_grids_of_another_shape_differ():
    assert not same_grid((4, 4, 4), np.eye(4), (4, 4, 5), np.eye(4))


def test_channels_do_not_belong_to_the_grid():
    assert same_grid((4, 4, 4, 2), np.eye(4), (4, 4, 4), np.eye(4))


@pytest.mark.parametrize(("shift_mm", "same"), [(0.0009, True), (0.0011, False)])
def test_grids_are_the_same_up_to_a_thousandth_of_a_millimetre(shift_mm, same):
    moved = affine(np.eye(3), origin=(0, shift_mm, 0))
    assert same_grid((4, 4, 4), np.eye(4), (4, 4, 4), moved) is same


def test_a_small_turn_counts_by_what_it_does_to_the_farthest_corner():
    turned = affine(Rotation.from_euler("z", 1e-5).as_matrix())
    assert same_grid((10, 10, 10), np.eye(4), (10, 10, 10), turned)
    assert not same_grid((500, 500, 10), np.eye(4), (500, 500, 10), turned)
