"""A prediction lies where its image lies: DICOM, 4D files, cropped, padded and resampled images."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from pipeline.data.cases import Case
from pipeline.data.cohorts import find_cohort
from pipeline.data.loaders import record
from pipeline.tasks import Task
from pipeline.transforms import preprocessing
from tests.data.dicom_files import FakeSeries
from tests.inference.bright import (
    BRIGHT,
    DARK,
    ORIENTATIONS,
    OWN_GRID,
    TASK,
    THRESHOLD,
    File,
    assert_lies_as,
    grid,
    segment,
    speckled,
)

FIXED = settings(derandomize=True, database=None, deadline=None)
ANGLES = st.tuples(*[st.just(0) | st.floats(-180, 180)] * 3)
SHAPES = st.tuples(*[st.integers(1, 9)] * 3)
SEEDS = st.integers(0, 2**32 - 1)
RADIUS = 10  # mm
LEAST_DICE = {"direct": 0.99, "label": 0.88}
"""To be off by the smallest voxel (0.8 mm) would cost 0.06; the rest is lost by any resampling."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory):
    """Gives an empty folder whenever it is called."""
    return lambda: tmp_path_factory.mktemp("grids")


@settings(FIXED, max_examples=25)
@given(shape=SHAPES, angles=ANGLES, upwards=st.booleans(), seed=SEEDS)
def test_a_dicom_series_gives_the_structure_at_its_millimetres(
    folders, shape, angles, upwards, seed
):
    folder, values = folders(), speckled(shape, seed)
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix().round(6)
    places = (2.0 * np.arange(shape[2]))[:: 1 if upwards else -1]
    FakeSeries(
        size=shape[:2],
        orientations=[(*turn[:, 0], *turn[:, 1])] * shape[2],
        positions=[tuple((place * turn[:, 2] + (10, 20, -30)).round(6)) for place in places],
        voxels=values,
    ).write(folder / "series")
    task = Task(("flair",), classes=TASK.classes)
    (case,) = find_cohort(folder, task).cases
    prediction = segment(case, folder, {}, (16, 16, 16), task)
    found = np.asarray(prediction.dataobj)
    np.testing.assert_array_equal(found, values[:, :, :: 1 if upwards else -1] > THRESHOLD)
    assert (prediction.header["qform_code"], prediction.header["sform_code"]) == (1, 1)
    assert prediction.header.get_xyzt_units()[0] == "mm"
    if shape[1] == 1:
        return  # the other reader stacks slices of one row as if they were rows
    image = read_by_another(folder / "series")
    array = sitk.GetArrayFromImage(image).T
    points = nib.affines.apply_affine(prediction.affine, np.argwhere(found))
    for point in points * (-1, -1, 1):
        index = image.TransformPhysicalPointToIndex(point)
        assert array[index] == BRIGHT
        np.testing.assert_allclose(image.TransformIndexToPhysicalPoint(index), point, atol=1e-3)


def read_by_another(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


@settings(FIXED, max_examples=30)
@given(orientation=st.sampled_from(ORIENTATIONS), angles=ANGLES, shape=SHAPES, seed=SEEDS)
def test_a_file_of_several_channels_gives_one_volume_of_its_grid(
    folders, orientation, angles, shape, seed
):
    folder = folders()
    affine = grid(orientation, (0.9, 1.3, 2.5), angles)
    channels = np.stack([speckled(shape, seed + number) for number in range(3)], axis=-1)
    File((affine, 1), (affine, 2)).write(folder / "image.nii.gz", channels)
    names = {"0": "FLAIR", "1": "T1w", "2": "t1gd"}
    content = {"modality": names, "training": [{"image": "image.nii.gz"}]}
    (folder / "dataset.json").write_text(json.dumps(content))
    task = Task(("t1c", "flair"), classes=TASK.classes)
    (case,) = find_cohort(folder, task).cases
    prediction = segment(case, folder / "out", {}, (16, 16, 16), task)
    assert_lies_as(prediction, nib.load(folder / "image.nii.gz"))
    np.testing.assert_array_equal(np.asarray(prediction.dataobj), channels[..., 2] > THRESHOLD)


@settings(FIXED, max_examples=40)
@given(
    around=st.tuples(*[st.tuples(st.integers(0, 6), st.integers(0, 6))] * 3),
    margin=st.integers(0, 4),
    patch=st.sampled_from([(4, 4, 4), (8, 8, 8), (16, 16, 16), (4, 4), (16, 16)]),
    shape=SHAPES,
    seed=SEEDS,
)
def test_cropped_and_padded_images_give_the_structure_in_its_voxels(
    folders, around, margin, patch, shape, seed
):
    values = np.pad(speckled(shape, seed), around)
    affine = grid((-3, 1, -2), (0.9, 1.3, 2.5), (20, -35, 50))
    folder = folders()
    File(None, (affine, 1)).write(folder / "image.nii", values)
    case = Case("case", ((folder / "image.nii", None),))
    prediction = segment(case, folder, {"foreground_margin": margin}, patch)
    assert_lies_as(prediction, nib.load(folder / "image.nii"))
    np.testing.assert_array_equal(np.asarray(prediction.dataobj), values > THRESHOLD)


def ball_with_a_flat_side(affine: np.ndarray) -> np.ndarray:
    """A mask of some 36 mm an axis with a ball that has lost a piece, off the centre."""
    spacing = nib.affines.voxel_sizes(affine)
    places = [size * np.arange(np.ceil(36 / size)) for size in spacing]
    x, y, z = np.meshgrid(*places, indexing="ij")
    away = np.sqrt((x - 16) ** 2 + (y - 17) ** 2 + (z - 18) ** 2)
    return (away < RADIUS) & (x < 20)


def resampled(mask: np.ndarray, affine: np.ndarray, shape: tuple, onto: np.ndarray) -> np.ndarray:
    """``mask`` on the grid of ``shape`` and affine ``onto``."""
    indices = np.linalg.inv(affine) @ onto
    weights = ndimage.affine_transform(
        mask.astype(float), indices[:3, :3], indices[:3, 3], shape, order=1
    )
    return weights > 0.5


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * (first & second).sum() / (first.sum() + second.sum())


@settings(FIXED, max_examples=25)
@given(
    orientation=st.sampled_from(ORIENTATIONS),
    angles=ANGLES,
    # In fractions of two primes, so that no voxel lies half-way between two of the other grid.
    spacing=st.tuples(*[st.integers(0, 97).map(lambda step: 0.8 + 2.2 * step / 97)] * 3),
    working=st.tuples(*[st.integers(0, 89).map(lambda step: 0.8 + 1.2 * step / 89)] * 3),
)
def test_a_resampled_structure_is_the_label_that_is_resampled_directly(
    folders, orientation, angles, spacing, working
):
    folder, affine = folders(), grid(orientation, spacing, angles)
    label = ball_with_a_flat_side(affine)
    File((affine, 1), None).write(folder / "image.nii", np.where(label, BRIGHT, DARK))
    case, recipe = Case("case", ((folder / "image.nii", None),)), {"spacing": working}
    prediction = segment(case, folder, recipe, (48, 48, 48))
    assert_lies_as(prediction, nib.load(folder / "image.nii"))
    found = np.asarray(prediction.dataobj) > 0
    seen = preprocessing(OWN_GRID | recipe, TASK)(record(case, None))["image"]
    onto = seen.affine.numpy()
    np.testing.assert_allclose(nib.affines.voxel_sizes(onto), working, rtol=1e-3)
    there = resampled(label, affine, seen.shape[1:], onto)
    assert dice(found, resampled(there, onto, label.shape, affine)) >= LEAST_DICE["direct"]
    assert dice(found, label) >= LEAST_DICE["label"]
