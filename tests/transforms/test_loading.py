import nibabel as nib
import numpy as np
import pytest
import torch

from pipeline.errors import UserError, sentence
from pipeline.tasks import CONVENTIONS
from pipeline.transforms import LoadCase, preprocessing

SHAPE = (3, 4, 5)
AFFINE = np.array([[0, -2.0, 0, 5], [1, 0, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]])
GLIOMA = {"modalities": ["flair", "t1"], "regions": ["TC", "WT", "ET"]}
LIVER = {"modalities": ["flair", "t1"], "classes": ["background", "liver", "tumour"]}
NOTHING = {"foreground_margin": None, "intensity": None, "spacing": None}


def save(path, array, affine=AFFINE):
    nib.save(nib.Nifti1Image(array, affine), path)
    return str(path)


def image(value, shape=SHAPE):
    return np.full(shape, value, np.float32)


def record(*paths, label=None, convention=None):
    pairs = [path if isinstance(path, tuple) else (path, None) for path in paths]
    found = {"case": "a", "image": pairs, "source": pairs[0][0]}
    return found | ({"label": label, "convention": convention} if label else {})


@pytest.fixture
def flair(tmp_path):
    return save(tmp_path / "a_flair.nii", image(1))


@pytest.fixture
def t1(tmp_path):
    return save(tmp_path / "a_t1.nii", image(2))


def test_modalities_are_stacked_in_the_order_of_the_record(flair, t1):
    loaded = LoadCase(GLIOMA)(record(t1, flair))["image"]
    assert loaded.shape == (2, *SHAPE)
    assert loaded.dtype == torch.float32
    assert loaded[:, 0, 0, 0].tolist() == [2, 1]
    assert np.array_equal(loaded.affine.numpy(), AFFINE)


def test_channels_of_one_file_are_picked_by_their_numbers(tmp_path):
    channels = np.stack([image(value) for value in (10, 11, 12)], axis=-1)
    path = save(tmp_path / "a.nii.gz", channels)
    loaded = LoadCase(GLIOMA)(record((path, 2), (path, 0)))["image"]
    assert loaded.shape == (2, *SHAPE)
    assert loaded[:, 0, 0, 0].tolist() == [12, 10]


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_every_convention_gives_the_same_regions(tmp_path, flair, t1, convention):
    label = np.zeros(SHAPE, np.uint8)
    for place, tissue in enumerate(("oedema", "core", "enhancing")):
        label[0, 0, 1 + place] = CONVENTIONS[convention][tissue]
    path = save(tmp_path / "seg.nii", label)
    loaded = LoadCase(GLIOMA)(record(flair, t1, label=path, convention=convention))["label"]
    assert loaded.shape == (3, *SHAPE)
    assert loaded.dtype == torch.float32
    # Along the line: background, oedema, core, enhancing.
    assert loaded[:, 0, 0, :4].tolist() == [[0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 0, 1]]
    assert loaded.sum() == 6
    assert np.array_equal(loaded.affine.numpy(), AFFINE)


def test_exclusive_classes_are_one_channel_of_numbers(tmp_path, flair, t1):
    label = np.zeros(SHAPE, np.int16)
    label[0, 0, :3] = 0, 1, 2
    path = save(tmp_path / "seg.nii", label)
    loaded = LoadCase(LIVER)(record(flair, t1, label=path, convention="classes"))["label"]
    assert loaded.shape == (1, *SHAPE)
    assert loaded[0, 0, 0, :3].tolist() == [0, 1, 2]


def test_a_record_without_label_gives_none(flair, t1):
    assert "label" not in LoadCase(GLIOMA)(record(flair, t1))


def test_files_of_different_shape_are_both_named(tmp_path, flair):
    other = save(tmp_path / "a_t1.nii", image(2, shape=(3, 4, 6)))
    with pytest.raises(UserError, match=r"a_t1\.nii has shape \(3, 4, 6\) and .*a_flair\.nii has"):
        LoadCase(GLIOMA)(record(flair, other))


def test_files_of_different_affine_are_both_named(tmp_path, flair):
    shifted = AFFINE.copy()
    shifted[0, 3] += 0.01  # mm
    other = save(tmp_path / "a_t1.nii", image(2), shifted)
    with pytest.raises(UserError, match=r"a_t1\.nii and .*a_flair\.nii differ in their affine"):
        LoadCase(GLIOMA)(record(flair, other))


def test_a_label_on_another_grid_is_refused(tmp_path, flair, t1):
    shifted = AFFINE.copy()
    shifted[2, 3] += 3  # mm: one slice
    path = save(tmp_path / "seg.nii", np.zeros(SHAPE, np.uint8), shifted)
    with pytest.raises(UserError, match=r"seg\.nii and .*a_flair\.nii differ in their affine"):
        LoadCase(GLIOMA)(record(flair, t1, label=path, convention="brats2023"))


def test_an_unknown_label_value_is_named_with_its_file(tmp_path, flair, t1):
    path = save(tmp_path / "seg.nii", np.full(SHAPE, 4, np.uint8))
    with pytest.raises(UserError, match=r"seg\.nii holds the label value 4"):
        LoadCase(GLIOMA)(record(flair, t1, label=path, convention="brats2023"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_voxel_that_is_not_finite_names_its_file(tmp_path, flair, value):
    array = image(2)
    array[1, 2, 3] = value
    other = save(tmp_path / "a_t1.nii", array)
    with pytest.raises(UserError, match=r"a_t1\.nii holds voxels that are not finite"):
        LoadCase(GLIOMA)(record(flair, other))


def test_a_file_of_several_channels_is_no_modality(tmp_path, flair):
    other = save(tmp_path / "a_t1.nii", image(2, shape=(*SHAPE, 2)))
    with pytest.raises(UserError, match=r"a_t1\.nii holds 2 channels, not one image"):
        LoadCase(GLIOMA)(record(flair, other))


def test_a_channel_that_a_file_lacks_is_named(tmp_path):
    path = save(tmp_path / "a.nii", image(2, shape=(*SHAPE, 2)))
    with pytest.raises(UserError, match=r"a\.nii holds 2 channels, and number 2 was asked for"):
        LoadCase(GLIOMA)(record((path, 0), (path, 2)))


def test_one_blank_modality_is_an_image_and_a_blank_case_is_a_mistake(tmp_path, flair):
    blank = save(tmp_path / "a_t1.nii", image(0))
    assert LoadCase(GLIOMA)(record(flair, blank))["image"].any()
    with pytest.raises(UserError, match=r"case a is zero in every voxel of .*a_t1\.nii"):
        LoadCase(GLIOMA)(record(blank, blank))


def test_the_sentence_survives_the_preprocessing(tmp_path, flair):
    with pytest.raises(RuntimeError) as caught:
        preprocessing(NOTHING, GLIOMA)(record(flair, str(tmp_path / "missing.nii")))
    assert sentence(caught.value).startswith(f"cannot read {tmp_path / 'missing.nii'}")
