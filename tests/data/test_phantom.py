import nibabel as nib
import numpy as np
import pytest

from pipeline.data.phantom import Phantom, make_phantom, write_cohort

SHAPE = (48, 48, 32)
CORE, OEDEMA, ENHANCING = 1, 2, 3


@pytest.fixture(scope="module")
def phantoms() -> list[Phantom]:
    return [make_phantom(SHAPE, (0, index)) for index in range(8)]


def best_threshold_dice(image, target):
    """Of all global thresholds, the Dice of the one that suits this very case best."""
    candidates = np.percentile(image[image > 0], np.arange(40, 100))
    found = image > candidates[:, None, None, None]
    overlaps = np.count_nonzero(found & target, axis=(1, 2, 3))
    sizes = np.count_nonzero(found, axis=(1, 2, 3)) + np.count_nonzero(target)
    return (2 * overlaps / sizes).max()


def contrasts(phantoms, modality):
    """Oedema, core and rim over the median of the healthy brain, the mean of all cases."""
    ratios = []
    for phantom in phantoms:
        image, label = phantom.images[modality], phantom.label
        healthy = np.median(image[(image > 0) & (label == 0)])
        ratios.append(
            [image[label == value].mean() / healthy for value in (OEDEMA, CORE, ENHANCING)]
        )
    return np.mean(ratios, axis=0)


def test_equal_seeds_give_equal_phantoms():
    first, second = make_phantom(SHAPE, 3), make_phantom(SHAPE, 3)
    for modality, image in first.images.items():
        np.testing.assert_array_equal(image, second.images[modality])
    np.testing.assert_array_equal(first.label, second.label)


def test_other_seeds_give_other_tumours(phantoms):
    volumes = {tuple(np.bincount(phantom.label.ravel())) for phantom in phantoms}
    assert len(volumes) == len(phantoms)


@pytest.mark.parametrize("shape", [SHAPE, (45, 50, 37), (64, 72, 48)])
def test_every_tissue_is_there_at_any_shape(shape):
    for seed in range(8):
        phantom = make_phantom(shape, seed)
        assert phantom.label.shape == shape
        volumes = np.bincount(phantom.label.ravel())
        assert len(volumes) == 4
        assert volumes.min() >= 60


def test_images_are_int16_and_the_label_is_uint8(phantoms):
    assert list(phantoms[0].images) == ["flair", "t1", "t1c", "t2"]
    assert all(image.dtype == np.int16 for image in phantoms[0].images.values())
    assert phantoms[0].label.dtype == np.uint8


def test_background_is_zero_in_all_modalities_at_once_and_holds_no_tumour(phantoms):
    for phantom in phantoms:
        inside = np.stack(list(phantom.images.values())) > 0
        brain = inside.all(axis=0)
        np.testing.assert_array_equal(inside.any(axis=0), brain)
        assert 0.2 < brain.mean() < 0.5
        assert brain[phantom.label > 0].all()


def test_flair_shows_oedema_brighter_than_core(phantoms):
    oedema, core, _ = contrasts(phantoms, "flair")
    assert oedema > 1.5
    assert 0.9 < core < 0.75 * oedema


def test_t2_shows_oedema_and_core_bright(phantoms):
    oedema, core, _ = contrasts(phantoms, "t2")
    assert oedema > 1.4
    assert core > oedema


def test_t1_shows_all_of_the_tumour_dark_and_oedema_only_slightly(phantoms):
    oedema, core, rim = contrasts(phantoms, "t1")
    assert core < rim < oedema < 0.95
    assert core < 0.65
    assert oedema > 0.8


def test_t1c_is_like_t1_but_for_the_rim(phantoms):
    oedema, core, rim = contrasts(phantoms, "t1c")
    np.testing.assert_allclose((oedema, core), contrasts(phantoms, "t1")[:2], atol=0.08)
    assert rim > 1.6


def test_some_vessels_are_as_bright_as_the_rim_in_t1c(phantoms):
    for phantom in phantoms:
        image, label = phantom.images["t1c"], phantom.label
        rim = np.median(image[label == ENHANCING])
        assert np.count_nonzero(image[label == 0] > rim) >= 20


def test_the_scale_of_intensities_differs_between_cases(phantoms):
    medians = [np.median(phantom.images["t1"][phantom.images["t1"] > 0]) for phantom in phantoms]
    assert max(medians) > 2 * min(medians)


def test_no_threshold_on_flair_finds_the_tumour(phantoms):
    for phantom in phantoms:
        assert best_threshold_dice(phantom.images["flair"], phantom.label > 0) < 0.8


def test_the_affine_is_oblique_with_the_spacing_as_lengths_of_its_columns():
    affine = make_phantom(SHAPE, 0, spacing=(2.0, 0.9, 1.3)).affine
    directions = affine[:3, :3] / (2.0, 0.9, 1.3)
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-12)
    assert np.count_nonzero(np.abs(directions) > 0.01) == 9
    assert nib.aff2axcodes(affine) == ("L", "P", "S")


def test_a_cohort_lies_on_disk_as_brats_2023_does(tmp_path):
    names = write_cohort(tmp_path, 2, shape=(33, 36, 32), seed=5)
    assert names == ["phantom-000", "phantom-001"]
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.gz")) == [
        f"{name}/{name}-{part}.nii.gz"
        for name in names
        for part in ("seg", "t1c", "t1n", "t2f", "t2w")
    ]
    phantom = make_phantom((33, 36, 32), (5, 1))
    for part, array in (("t2f", phantom.images["flair"]), ("seg", phantom.label)):
        image = nib.load(tmp_path / f"phantom-001/phantom-001-{part}.nii.gz")
        np.testing.assert_array_equal(np.asanyarray(image.dataobj), array)
        assert image.get_data_dtype() == array.dtype
        np.testing.assert_allclose(image.affine, phantom.affine, atol=1e-4)
        np.testing.assert_allclose(image.get_qform(), phantom.affine, atol=1e-4)
        assert image.header["qform_code"] == image.header["sform_code"] == 1
        assert image.header.get_xyzt_units()[0] == "mm"


def test_a_longer_cohort_begins_with_a_shorter_one_byte_by_byte(tmp_path):
    write_cohort(tmp_path / "short", 1, shape=(33, 36, 32))
    write_cohort(tmp_path / "long", 2, shape=(33, 36, 32))
    for path in (tmp_path / "short").rglob("*.nii.gz"):
        other = tmp_path / "long" / path.relative_to(tmp_path / "short")
        assert path.read_bytes() == other.read_bytes()
