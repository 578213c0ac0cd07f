"""A prediction lies where its image lies, in the same voxels, whatever NIfTI file that is."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.data.cases import Case
from tests.inference.bright import (
    BRIGHT,
    ORIENTATIONS,
    THRESHOLD,
    File,
    assert_lies_as,
    grid,
    segment,
    speckled,
)

RECIPES = [{"foreground_margin": margin} for margin in (None, 0, 1, 8)]
PATCHES = [(16, 16, 16), (8, 8, 8), (8, 8)]  # larger and smaller than images, and slices
SPACINGS = st.floats(0.3, 6)
AFFINES = st.builds(
    grid,
    st.sampled_from(ORIENTATIONS),
    st.tuples(SPACINGS, SPACINGS, SPACINGS),
    st.tuples(*[st.just(0) | st.floats(-180, 180)] * 3),
    st.tuples(*[st.floats(-200, 200)] * 3),
)
SHAPES = st.tuples(*[st.integers(1, 13)] * 3)
FIXED = settings(derandomize=True, database=None, deadline=None)


@st.composite
def files(draw: st.DrawFn, plain: bool = False) -> File:
    """Files of any kind; ``plain`` ones are read alike by all programs.

    These are NIfTI-1 of one grid, whose sform ITK uses too, or whose qform says its turn precisely.
    """
    affine = draw(AFFINES)
    codes = st.integers(1, 4)
    qform, sform = draw(st.sampled_from([(True, False), (False, True), (True, True)]))
    assume(not plain or sform or cosine_of_half_the_turn(affine) > 0.1)
    atlas = affine
    if not plain and qform and sform and draw(st.booleans()):
        moved = np.eye(4)
        moved[:3, 3] = 5, -7, 3
        atlas, both = moved @ affine, (1, 4)
    else:
        both = draw(codes), 1 if plain else draw(codes)
    file = File(
        (affine, both[0]) if qform else None,
        (atlas, both[1]) if sform else None,
        draw(st.sampled_from(["<i2", "<u2", "<f4", ">i2", ">u2", ">f4"])),
        # Read without it, what is dark in the second is bright, and all is bright in the third.
        draw(st.sampled_from([(1, 0), (-1, 250), (0.25, -40)])),
        (draw(st.sampled_from(["mm", "unknown"])), draw(st.sampled_from(["sec", "unknown"]))),
        nib.Nifti1Image if plain else draw(st.sampled_from([nib.Nifti1Image, nib.Nifti2Image])),
    )
    assume(file.readable)
    return file


def cosine_of_half_the_turn(affine: np.ndarray) -> float:
    """The number of a qform's quaternion that is not stored, and of no digits if near zero."""
    axes = affine[:3, :3] / nib.affines.voxel_sizes(affine)
    axes[:, 2] *= np.sign(np.linalg.det(axes))
    return np.sqrt(max(0, 1 + np.trace(axes))) / 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("grids")


def written(folder: Path, file: File, values: np.ndarray) -> Case:
    path = folder / "image.nii"
    file.write(path, values)
    return Case("case", ((path, None),))


def comes_back(folder: Path, file: File, values: np.ndarray, recipe: dict, patch: tuple) -> None:
    case = written(folder, file, values)
    prediction = segment(case, folder, recipe, patch)
    assert_lies_as(prediction, nib.load(folder / "image.nii"))
    np.testing.assert_array_equal(np.asarray(prediction.dataobj), values > THRESHOLD)


def spacing_on_the_working_grid(affine: np.ndarray) -> list[float]:
    """The spacing along the axes nearest to right, front and top."""
    spacing = np.empty(3)
    spacing[nib.io_orientation(affine)[:, 0].astype(int)] = nib.affines.voxel_sizes(affine)
    return spacing.tolist()


@pytest.mark.parametrize("angles", [(0, 0, 0), (20, -35, 50)])
@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
def test_from_each_orientation_the_structure_comes_back_in_its_voxels(folder, orientation, angles):
    affine = grid(orientation, (0.9, 1.3, 2.5), angles)
    file, values = File((affine, 1), (affine, 2)), speckled((7, 5, 3), seed=0)
    comes_back(folder, file, values, {}, (16, 16, 16))
    own = {"spacing": spacing_on_the_working_grid(affine)}
    comes_back(folder, file, values, own, (16, 16, 16))


def whatever_the_file(folder, file, shape, seed, recipe, patch):
    plain_unsigned = file.dtype[1:] == "u2" and file.scaling == (1, 0)
    bright = 40000 if plain_unsigned else BRIGHT  # negative where it is read as signed
    comes_back(folder, file, speckled(shape, seed, bright), recipe, patch)


ANY_FILE = given(
    file=files(),
    shape=SHAPES,
    seed=st.integers(0, 2**32 - 1),
    recipe=st.sampled_from(RECIPES),
    patch=st.sampled_from(PATCHES),
)


@settings(FIXED, max_examples=100)
@ANY_FILE
def test_whatever_the_file_the_structure_comes_back_in_its_voxels(
    folder, file, shape, seed, recipe, patch
):
    whatever_the_file(folder, file, shape, seed, recipe, patch)


@pytest.mark.slow
@settings(FIXED, max_examples=3000)
@ANY_FILE
def test_of_thousands_of_files_the_structure_comes_back_in_its_voxels(
    folder, file, shape, seed, recipe, patch
):
    whatever_the_file(folder, file, shape, seed, recipe, patch)


@settings(FIXED, max_examples=40)
@given(file=files(), shape=SHAPES, seed=st.integers(0, 2**32 - 1))
def test_a_working_grid_of_the_spacing_of_the_image_moves_no_voxel(folder, file, shape, seed):
    recipe = {"spacing": spacing_on_the_working_grid(file.affine)}
    comes_back(folder, file, speckled(shape, seed), recipe, (16, 16, 16))


@settings(FIXED, max_examples=40)
@given(file=files(), shape=SHAPES, spacing=st.tuples(SPACINGS, SPACINGS, SPACINGS))
def test_an_image_that_is_all_structure_is_so_to_its_edges_once_resampled(
    folder, file, shape, spacing
):
    comes_back(folder, file, np.full(shape, BRIGHT), {"spacing": spacing}, (16, 16, 16))


@pytest.mark.parametrize("units", ["mm", "unknown", "meter", "micron"])
def test_units_come_back_as_they_are(folder, units):
    affine = grid((1, 2, 3), (0.9, 1.3, 2.5))
    file = File((affine, 1), (affine, 1), units=(units, "msec"))
    comes_back(folder, file, speckled((4, 3, 2), seed=0), {}, (16, 16, 16))


@settings(FIXED, max_examples=60)
@given(file=files(plain=True), shape=SHAPES, seed=st.integers(0, 2**32 - 1))
def test_an_independent_reader_finds_the_structure_at_the_same_millimetres(
    folder, file, shape, seed
):
    case = written(folder, file, speckled(shape, seed))
    prediction = segment(case, folder, {}, (16, 16, 16))
    other = sitk.ReadImage(str(folder / "case.nii.gz"))
    assert other.GetSize() == shape
    structure = np.argwhere(np.asarray(prediction.dataobj))
    np.testing.assert_array_equal(np.argwhere(sitk.GetArrayFromImage(other).T), structure)
    points = [other.TransformIndexToPhysicalPoint(voxel) for voxel in structure.tolist()]
    in_ras = np.array(points) * (-1, -1, 1)
    expected = nib.affines.apply_affine(nib.load(folder / "image.nii").affine, structure)
    np.testing.assert_allclose(in_ras, expected, atol=1e-3, rtol=0)
