"""An image prepared plane by plane is the one that MONAI prepares in memory."""

import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.cohorts import find_cohort
from pipeline.data.loaders import record
from pipeline.inference.plan import BLOCK
from pipeline.tasks import Task
from pipeline.transforms import preprocessing
from tests.inference.bright import ORIENTATIONS, grid
from tests.inference.on_working_grids import by_monai, prepared, whole

FIXED = settings(derandomize=True, database=None, deadline=None)
ANGLES = st.tuples(*[st.just(0) | st.floats(-180, 180)] * 3)
SPACINGS = st.tuples(*[st.floats(0.5, 4)] * 3)
SHAPES = st.tuples(*[st.integers(1, 14)] * 3)
CODES = st.sampled_from(["RAS", "LPS", "PIR", "SAL", "IRA", "ASR"])
SHEARED = np.array([[1, 0.3, -0.2, 4], [0, 1.5, 0.4, -3], [0, 0, 2, 9], [0, 0, 0, 1.0]])


def noise(shape: tuple[int, ...], seed: int, empty: float = 0.4) -> list[np.ndarray]:
    """Two channels of int16 with voxels that are zero, as a file in memory lies."""
    random = np.random.default_rng(seed)
    arrays = []
    for mean in (300, -40):
        values = np.where(random.random(shape) < empty, 0, random.normal(mean, 25, shape))
        values.flat[0 if empty < 1 else []] = mean
        arrays.append(np.asfortranarray(np.round(values).astype(np.int16)))
    return arrays


def assert_alike(folder: Path, arrays: list[np.ndarray], affine: np.ndarray, recipe: dict) -> None:
    ours = prepared(arrays, affine, recipe, folder / "planes")
    expected = by_monai(arrays, affine, recipe)
    assert ours.grid.shape == expected.shape[1:]
    np.testing.assert_allclose(ours.grid.affine, expected.affine, atol=1e-9)
    np.testing.assert_allclose(whole(ours), expected.numpy(), atol=2e-5)


@settings(FIXED, max_examples=60)
@given(
    orientation=st.sampled_from(ORIENTATIONS),
    spacing=SPACINGS,
    angles=ANGLES,
    shape=SHAPES,
    codes=CODES,
    working=st.none() | SPACINGS,
    margin=st.none() | st.integers(0, 9),
    intensity=st.sampled_from(["nonzero_zscore", None]),
    seed=st.integers(0, 99),
)
def test_on_any_grid_an_image_is_the_one_that_monai_prepares(
    tmp_path_factory,
    orientation,
    spacing,
    angles,
    shape,
    codes,
    working,
    margin,
    intensity,
    seed,
):
    recipe = {
        "foreground_margin": margin,
        "intensity": intensity,
        "orientation": codes,
        "spacing": working,
    }
    folder = tmp_path_factory.mktemp("grids")
    scale = 1 if intensity else 1 / 300
    arrays = [array * np.float32(scale) for array in noise(shape, seed)]
    assert_alike(folder, arrays, grid(orientation, spacing, angles), recipe)


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
def test_from_each_orientation_the_crop_is_the_one_of_monai(tmp_path, orientation):
    inside = noise((4, 7, 5), seed=3)
    arrays = [np.pad(array, ((3, 9), (0, 4), (6, 1))) for array in inside]
    for spacing in (None, (1.1, 0.7, 3.0)):
        recipe = {"foreground_margin": 2, "spacing": spacing}
        assert_alike(tmp_path, arrays, grid(orientation, (0.9, 1.3, 2.5), (20, -35, 50)), recipe)


@pytest.mark.parametrize("codes", ["RAS", "SAL", "PIR"])
@pytest.mark.parametrize("spacing", [None, (1.0, 1.0, 1.0), (2.0, 3.0, 0.8)])
def test_an_image_whose_axes_are_not_rectangular_is_the_one_of_monai(tmp_path, codes, spacing):
    recipe = {"orientation": codes, "spacing": spacing}
    assert_alike(tmp_path, noise((9, 12, 11), seed=5), SHEARED, recipe)


def test_a_spacing_that_the_file_all_but_has_changes_nothing(tmp_path):
    arrays, affine = noise((6, 5, 7), seed=1), np.diag([1.0004, 1, 1, 1])
    recipe = {"foreground_margin": None, "intensity": None, "spacing": (1, 1, 1)}
    assert_alike(tmp_path, arrays, affine, recipe)
    image = whole(prepared(arrays, affine, recipe, tmp_path / "planes"))
    np.testing.assert_array_equal(image, np.stack(arrays).astype(np.float32))


def test_a_single_slice_is_the_one_of_monai(tmp_path):
    for spacing in (None, (0.7, 1.6, 1.0)):
        recipe = {"foreground_margin": 1, "spacing": spacing}
        assert_alike(tmp_path, noise((9, 12, 1), seed=8), np.eye(4), recipe)


def test_voxels_that_are_all_alike_become_zero(tmp_path):
    arrays = [np.zeros((4, 4, 4), np.float32) for _ in range(2)]
    arrays[0][1:3] = 0.1
    image = whole(prepared(arrays, np.eye(4), {}, tmp_path / "planes"))
    np.testing.assert_allclose(image, 0, atol=1e-6)


def test_an_image_without_a_voxel_has_an_empty_grid(tmp_path):
    empty = prepared([np.zeros((4, 5, 6), np.int16)], np.eye(4), {}, tmp_path / "planes")
    assert empty.grid.shape == (0, 0, 0)
    assert empty.image.shape == (0, 1, 0, 0)


@pytest.mark.parametrize("codes", ["RAS", "LIP", "PSL"])
@pytest.mark.parametrize("spacing", [None, (1.3, 0.9, 1.7)])
def test_slabs_of_any_size_give_the_same_bits(tmp_path, codes, spacing):
    affine, recipe = grid((2, -3, 1), (1, 1.2, 2)), {"orientation": codes, "spacing": spacing}
    arrays = [array * np.float32(0.1) for array in noise((9, 8, 23), seed=2)]
    at_once, one, few = (
        prepared(arrays, affine, recipe, tmp_path / str(size), slab_bytes=size)
        for size in (2**20, 1, 4 * 4 * 9 * 8)
    )
    np.testing.assert_array_equal(whole(one), whole(at_once))
    np.testing.assert_array_equal(whole(few), whole(at_once))
    np.testing.assert_array_equal(one.occupied, at_once.occupied)


@pytest.mark.parametrize("codes", ["RAS", "SAL", "PIR"])
def test_a_block_is_occupied_if_a_voxel_of_it_is_not_zero(tmp_path, codes):
    arrays = noise((19, 25, 30), seed=7, empty=0.9995)
    recipe = {"foreground_margin": None, "intensity": None, "orientation": codes}
    ours = prepared(arrays, np.eye(4), recipe, tmp_path / "planes")
    blocks = np.zeros_like(ours.occupied)
    for place in np.argwhere((whole(ours) != 0).any(axis=0)):
        blocks[tuple(place // BLOCK)] = True
    np.testing.assert_array_equal(ours.occupied, blocks)
    assert 0 < blocks.sum() < blocks.size


def test_memory_does_not_grow_with_the_number_of_planes(tmp_path):
    peaks = []
    for depth in (40, 160):
        arrays = noise((48, 40, depth), seed=0)
        tracemalloc.start()
        recipe = {"spacing": (1.5, 1.5, 1.5)}
        prepared(arrays, np.eye(4), recipe, tmp_path / "planes", slab_bytes=2**17)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
    assert peaks[1] < 2**20


@pytest.mark.real_data
def test_a_real_case_is_the_one_of_monai(real_data, tmp_path):
    task = Task(("flair", "t1", "t1c", "t2"), regions=("TC", "WT", "ET"))
    case = find_cohort(real_data / "brats2018", task).cases[0]
    images = [nib.load(path) for path, _ in case.images]
    arrays = [np.asanyarray(image.dataobj) for image in images]
    for spacing in (None, (1.5, 1.5, 2.0)):
        ours = prepared(arrays, images[0].affine, {"spacing": spacing}, tmp_path / "planes")
        sample = preprocessing({"spacing": spacing}, task)(record(case, None) | {"label": None})
        expected = sample["image"]
        assert ours.grid.shape == expected.shape[1:]
        np.testing.assert_allclose(ours.grid.affine, expected.affine, atol=1e-9)
        assert np.abs(whole(ours) - expected.numpy()).max() < 1e-4
        assert torch.count_nonzero(expected) > 10**6
