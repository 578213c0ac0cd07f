"""Modalities on different grids come onto that of the first."""

import json

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pipeline.data.alignment import bring_together, resampled
from pipeline.data.cases import Align
from pipeline.data.cohorts import find_cohort
from pipeline.data.loaders import record
from pipeline.data.registration import register
from pipeline.data.volumes import Volume
from pipeline.errors import UserError
from pipeline.tasks import Task
from pipeline.transforms import LoadCase

TASK = Task(("flair", "t1"), regions=("WT",))


def volume_of(array, affine):
    return Volume(array, nib.Nifti1Image(array, affine).header)


def points(shape, affine):
    """The place of every voxel in mm, (*shape, 3)."""
    indices = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return indices @ affine[:3, :3].T + affine[:3, 3]


def head(places, levels):
    """A skull, a brain, and two balls that break the symmetry, grey in ``levels``."""
    skull = (places / (28, 36, 24)) ** 2
    ball = ((places - (10, 14, 6)) / (8, 6, 7)) ** 2
    beak = ((places - (-8, -16, -8)) / (6, 9, 5)) ** 2
    image = np.zeros(places.shape[:3])
    image[skull.sum(-1) < 1] = levels[0]
    image[skull.sum(-1) < 0.7] = levels[1]
    image[ball.sum(-1) < 1] = levels[2]
    image[beak.sum(-1) < 1] = levels[3]
    return image.astype(np.float32)


def rigid(degrees, translation):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    matrix[:3, 3] = translation
    return matrix


FINE = np.array([[2, 0, 0, -40], [0, 2, 0, -46], [0, 0, 2, -34], [0, 0, 0, 1.0]])
THICK = rigid((10, 0, 5), (3, -2, 1)) @ np.diag([1.5, 1.5, 4, 1]) @ rigid((0, 0, 0), (-28, -32, -9))


def pair(motion=None):
    """The same head on two grids, in grey values of two modalities; the second one moved."""
    motion = np.eye(4) if motion is None else motion
    fixed = head(points((40, 46, 34), FINE), (100, 60, 140, 20))
    back = points((56, 64, 18), THICK) - motion[:3, 3]
    moving = head(back @ motion[:3, :3], (30, 90, 50, 140))
    return volume_of(fixed, FINE), volume_of(moving, THICK)


def test_a_linear_ramp_is_the_same_ramp_on_another_grid():
    places = points((9, 8, 7), np.diag([1.0, 1, 2, 1]))
    moving = volume_of((places @ (1, 2, 3)).astype(np.float32), np.diag([1.0, 1, 2, 1]))
    affine = np.array([[0, -0.5, 0, 5], [0.5, 0, 0, 1], [0, 0, 1.5, 2], [0, 0, 0, 1.0]])
    reference = volume_of(np.zeros((6, 5, 4), np.float32), affine)
    expected = points((6, 5, 4), affine) @ (1, 2, 3)
    result = resampled(moving, reference, np.eye(4))
    np.testing.assert_allclose(result.array, expected, atol=1e-4)
    np.testing.assert_array_equal(result.affine, reference.affine)


def test_what_a_file_does_not_cover_is_zero():
    moving = volume_of(np.ones((4, 4, 4), np.float32), np.eye(4))
    reference = volume_of(np.zeros((4, 4, 8), np.float32), np.eye(4))
    result = resampled(moving, reference, np.eye(4)).array
    assert (result[..., :4] == 1).all()
    assert (result[..., 4:] == 0).all()


def test_a_volume_that_lies_elsewhere_is_refused():
    far = np.diag([1.0, 1, 1, 1])
    far[:3, 3] = 500
    volumes = {
        "flair": volume_of(np.ones((4, 4, 4)), np.eye(4)),
        "t1": volume_of(np.ones((4, 4, 4)), far),
    }
    with pytest.raises(UserError, match="t1 has nothing where flair lies: correct the place"):
        bring_together(volumes, "grid")


def test_a_blank_volume_is_not_said_to_lie_elsewhere():
    fine = np.diag([0.5, 0.5, 0.5, 1])
    volumes = {
        "flair": volume_of(np.ones((4, 4, 4)), np.eye(4)),
        "t1": volume_of(np.zeros((8, 8, 8)), fine),
    }
    assert not bring_together(volumes, "grid")[0]["t1"].array.any()


def test_the_border_survives_the_rounding_of_a_rotated_grid():
    turned, motion = rigid((10, 20, 30), (0.1, 0.2, 0.3)), rigid((3, 5, 7), (1, 2, 3))
    reference = volume_of(np.zeros((5, 5, 5), np.float32), turned)
    moving = volume_of(np.ones((5, 5, 5), np.float32), motion @ turned)
    np.testing.assert_allclose(resampled(moving, reference, motion).array, 1, atol=1e-6)


def test_the_outer_half_of_thick_slices_is_covered():
    thick = np.diag([1.0, 1, 5, 1])
    moving = volume_of(np.full((4, 4, 3), 7, np.float32), thick)
    fine = np.diag([1.0, 1, 1, 1])
    fine[2, 3] = -4
    reference = volume_of(np.zeros((4, 4, 20), np.float32), fine)
    result = resampled(moving, reference, np.eye(4)).array
    # Slices of 5 mm at 0, 5 and 10 mm reach from -2.5 to 12.5 mm; the first voxel is at -4 mm.
    assert [int(place) - 4 for place in np.flatnonzero(result[0, 0])] == list(range(-2, 13))
    assert set(np.unique(result)) == {0, 7}


def test_a_volume_on_the_grid_already_keeps_its_voxels():
    first = volume_of(np.ones((4, 4, 4), np.float32), np.eye(4))
    other = volume_of(np.arange(64, dtype=np.int16).reshape(4, 4, 4), np.eye(4))
    together, done = bring_together({"flair": first, "t1": other}, "grid")
    assert together["t1"] is other
    assert not done["t1"]["resampled"]


@pytest.mark.parametrize(
    ("degrees", "translation"), [((6, -4, 8), (4, -5, 3)), ((0, 0, 0), (0, 0, 0))]
)
def test_a_known_motion_is_recovered_within_a_millimetre_and_a_degree(degrees, translation):
    motion = rigid(degrees, translation)
    fixed, moving = pair(motion)
    found, before, after = register(fixed, moving, "t1")
    error = np.linalg.inv(motion) @ found
    corners = points((2, 2, 2), np.diag([40.0, 40, 40, 1])) - 20
    displaced = corners @ error[:3, :3].T + error[:3, 3] - corners
    assert np.rad2deg(Rotation.from_matrix(error[:3, :3]).magnitude()) < 1
    assert np.linalg.norm(displaced, axis=-1).max() < 1
    assert after >= before


def test_registration_gives_the_same_motion_twice():
    fixed, moving = pair(rigid((3, 0, 2), (2, 1, 0)))
    first, second = (register(fixed, moving, "t1")[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_images_far_apart_are_registered_by_their_centres():
    fixed, moving = pair(rigid((0, 0, 0), (0, 0, 0)))
    far = THICK.copy()
    far[:3, 3] += (300, 0, 0)
    found, _, _ = register(fixed, volume_of(moving.array, far), "t1")
    np.testing.assert_allclose(found[:3, 3], (300, 0, 0), atol=2)


def test_a_registered_volume_looks_like_the_first():
    fixed, moving = pair(rigid((6, -4, 8), (4, -5, 3)))
    together, done = bring_together({"flair": fixed, "t1": moving}, "rigid")
    inside = (fixed.array == 60) & (together["t1"].array > 0)  # the brain, and covered by both
    assert np.median(together["t1"].array[inside]) == pytest.approx(90, abs=1)
    assert done["t1"]["similarity_after"] > done["t1"]["similarity_before"]


def test_images_of_nothing_cannot_be_registered():
    empty = volume_of(np.zeros((8, 8, 8), np.float32), np.eye(4))
    with pytest.raises(UserError, match="t1 cannot be registered to the first modality"):
        register(empty, empty, "t1")


@pytest.fixture
def case(tmp_path):
    """A case whose two modalities lie on grids of their own."""
    folder = tmp_path / "cases" / "anna"
    folder.mkdir(parents=True)
    for name, volume in zip(("flair", "t1"), pair(), strict=True):
        nib.save(nib.Nifti1Image(volume.array, volume.affine), folder / f"{name}.nii")
    return find_cohort(tmp_path / "cases", TASK)


def test_different_grids_are_refused_with_the_remedy(case):
    with pytest.raises(UserError, match="--align"):
        LoadCase(TASK)(record(case.cases[0], None))


def test_an_aligned_case_is_on_the_grid_of_the_first_modality(case, tmp_path):
    (aligned,) = case.aligned(Align("grid", tmp_path / "report")).cases
    loaded = LoadCase(TASK)(record(aligned, None))
    assert loaded["image"].shape == (2, 40, 46, 34)
    np.testing.assert_allclose(loaded["image"].affine, FINE)
    report = json.loads((tmp_path / "report" / "anna.json").read_text())
    assert (report["reference"], report["how"]) == ("flair", "grid")
    assert report["moved"]["t1"]["largest_shift_mm"] == 0
    assert str(tmp_path) not in (tmp_path / "report" / "anna.json").read_text()


def test_an_unknown_way_to_align_is_told(case):
    (aligned,) = case.aligned(Align("rigit")).cases
    with pytest.raises(UserError, match="did you mean rigid"):
        LoadCase(TASK)(record(aligned, None))


@pytest.mark.real_data
def test_the_modalities_of_a_real_patient_come_onto_the_grid_of_flair(real_data):
    glioma = Task(("flair", "t1", "t1c", "t2"), regions=("WT",))
    cohort = find_cohort(real_data / "native_space", glioma)
    with pytest.raises(UserError, match="--align"):
        LoadCase(glioma)(record(cohort.cases[0], None))
    loaded = LoadCase(glioma)(record(cohort.aligned(Align("grid")).cases[0], None))
    assert loaded["image"].shape == (4, 208, 256, 26)


@pytest.mark.real_data
@pytest.mark.slow
def test_registration_makes_a_real_patient_more_alike(real_data, tmp_path):
    glioma = Task(("flair", "t1"), regions=("WT",))
    cohort = find_cohort(real_data / "native_space", glioma)
    (case,) = cohort.aligned(Align("rigid", tmp_path)).cases
    LoadCase(glioma)(record(case, None))
    (report,) = (json.loads(path.read_text()) for path in tmp_path.iterdir())
    moved = report["moved"]["t1"]
    assert moved["similarity_after"] > 1.5 * moved["similarity_before"]
