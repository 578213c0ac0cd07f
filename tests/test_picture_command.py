"""``unet-bundles picture`` on phantoms whose predictions are their references, moved."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from matplotlib.image import imread
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from PIL import Image

from pipeline.pictures import PALETTE
from tests.test_pictures import near

RECORD = {
    "task": {"modalities": ["flair", "t1", "t1c", "t2"], "regions": ["TC", "WT", "ET"]},
    "labels": "brats2018",
}


@pytest.fixture
def predictions(cohort, tmp_path):
    """The references, moved by two voxels, in the values of ``brats2018``."""
    folder = tmp_path / "predictions"
    folder.mkdir()
    for case in sorted(cohort.iterdir())[:2]:
        reference = nib.load(case / f"{case.name}-seg.nii.gz")
        label = np.roll(np.asarray(reference.dataobj), 2, axis=0)
        label[label == 3] = 4
        nib.save(nib.Nifti1Image(label, reference.affine), folder / f"{case.name}.nii.gz")
    (folder / "run.json").write_text(json.dumps(RECORD))
    return folder


def draw(unet_bundles, images, predictions, output, *options):
    arguments = ("--images", images, "--predictions", predictions, "--output", output)
    status, out, err = unet_bundles("picture", *arguments, *options, "--json")
    return status, json.loads(out) if out else None, err


def test_each_prediction_becomes_a_picture(unet_bundles, cohort, predictions, tmp_path):
    out = tmp_path / "out"
    options = ("--references", cohort, "--modality", "t1ce", "--lightbox")
    status, report, _ = draw(unet_bundles, cohort, predictions, out, *options)
    names = sorted(case.name for case in cohort.iterdir())[:2]
    assert (status, report) == (0, {"written": names, "failed": {}})
    expected = [f"{name}{ending}.png" for name in names for ending in ("", "_lightbox")]
    assert sorted(path.name for path in out.iterdir()) == expected
    for path in out.iterdir():
        assert imread(path).shape[1] == 1200
        assert all(near(path, colour).any() for colour in PALETTE[:3])


def test_a_picture_tells_nothing_of_where_it_was_made(unet_bundles, cohort, predictions, tmp_path):
    draw(unet_bundles, cohort, predictions, tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        told = Image.open(path).text
        assert set(told) == {"Software", "Title"}
        assert told["Title"] == f"{path.stem}: flair"
        assert str(tmp_path).encode() not in path.read_bytes()


def test_both_conventions_are_drawn_in_the_same_colours(
    unet_bundles, cohort, predictions, tmp_path
):
    name = min(cohort.iterdir()).name
    as_2018 = predictions / f"{name}.nii.gz"
    label = nib.load(as_2018)
    values = np.asarray(label.dataobj).copy()
    values[values == 4] = 3
    (tmp_path / "2023").mkdir()
    as_2023 = tmp_path / "2023" / f"{name}.nii.gz"
    nib.save(nib.Nifti1Image(values, label.affine), as_2023)
    draw(unet_bundles, cohort, as_2018, tmp_path / "a")
    draw(unet_bundles, cohort, as_2023, tmp_path / "b", "--labels", "brats2023")
    a, b = (tmp_path / folder / f"{name}.png" for folder in "ab")
    assert a.read_bytes() == b.read_bytes()


def test_the_order_of_axes_in_the_files_does_not_matter(
    unet_bundles, cohort, predictions, tmp_path
):
    case = min(cohort.iterdir())
    prediction = predictions / f"{case.name}.nii.gz"
    files = {"t2f": case / f"{case.name}-t2f.nii.gz", "pred": prediction}
    for name, path in files.items():
        volume = nib.load(path)
        turn = ornt_transform(io_orientation(volume.affine), axcodes2ornt("SPL"))
        nib.save(volume.as_reoriented(turn), tmp_path / f"{case.name}-{name}.nii.gz")
    turned = tmp_path / f"{case.name}-pred.nii.gz"
    draw(unet_bundles, files["t2f"], prediction, tmp_path / "a", "--lightbox")
    image = tmp_path / f"{case.name}-t2f.nii.gz"
    status, report, _ = draw(
        *(unet_bundles, image, turned, tmp_path / "b"), "--labels", "brats2018", "--lightbox"
    )
    assert (status, report["written"]) == (0, [case.name])
    for ending in ("", "_lightbox"):
        a, b = (imread(tmp_path / folder / f"{case.name}{ending}.png") for folder in "ab")
        np.testing.assert_array_equal(a, b)


def test_a_case_that_cannot_be_drawn_does_not_stop_the_others(
    unet_bundles, cohort, predictions, tmp_path
):
    good, bad = sorted(predictions.glob("*.nii.gz"))
    shutil.copy(good, predictions / "nobody.nii.gz")
    volume = nib.load(bad)
    nib.save(nib.Nifti1Image(np.asarray(volume.dataobj)[:-1], volume.affine), bad)
    status, report, err = draw(unet_bundles, cohort, predictions, tmp_path / "out")
    name = bad.name.removesuffix(".nii.gz")
    assert status == 1
    assert len(report["written"]) == 1
    assert "is not on the grid of" in report["failed"][name]
    assert "no flair image of case nobody" in report["failed"]["nobody"]
    assert f"failed: {name}: " in err


def test_a_2d_image_is_drawn_as_it_lies(unet_bundles, tmp_path):
    image, label = np.full((40, 60), 50, np.uint8), np.zeros((40, 60), np.uint8)
    label[4:12, 6:18] = 255  # above and at the left
    for folder, array in (("images", image), ("predictions", label)):
        (tmp_path / folder).mkdir()
        Image.fromarray(array).save(tmp_path / folder / "ann.png")
    task = {"modalities": ["photo"], "classes": ["background", "cell"]}
    record = {"task": task, "labels": "classes"}
    (tmp_path / "predictions" / "run.json").write_text(json.dumps(record))
    folders = (tmp_path / "images", tmp_path / "predictions", tmp_path / "out")
    status, _, _ = draw(unet_bundles, *folders)
    assert status == 0
    found = np.argwhere(near(tmp_path / "out" / "ann.png", PALETTE[0])[:430])
    height, width = np.ptp(found, axis=0)
    assert found[:, 0].mean() < 240  # of 75 to 470
    assert 600 < found[:, 1].mean() < 800  # of 600 to 1200
    assert width / height == pytest.approx(12 / 8, rel=0.1)


def test_pictures_are_not_written_over_what_is_drawn(unet_bundles, cohort, predictions):
    status, _, err = draw(unet_bundles, cohort, predictions, predictions)
    assert status == 2
    assert "choose another output" in err


def test_a_picture_does_not_replace_an_image_or_a_mask(unet_bundles, tmp_path):
    task = {"modalities": ["photo"], "classes": ["background", "cell"]}
    for folder in ("images", "masks", "predictions"):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / folder / "ann.png")
    record = {"task": task, "labels": "classes"}
    (tmp_path / "predictions" / "run.json").write_text(json.dumps(record))
    for images, output in (
        (tmp_path, tmp_path / "images"),
        (tmp_path, tmp_path / "masks"),
        (tmp_path / "images/ann.png", tmp_path / "images"),
    ):
        before = (output / "ann.png").read_bytes()
        status, _, err = draw(unet_bundles, images, tmp_path / "predictions", output)
        assert status == 2
        assert f"{output} holds what is drawn: choose another output" in err
        assert (output / "ann.png").read_bytes() == before


def test_one_reference_is_not_drawn_on_several_cases(unet_bundles, cohort, predictions, tmp_path):
    first = min(cohort.iterdir())
    options = ("--references", first / f"{first.name}-seg.nii.gz")
    status, _, err = draw(unet_bundles, cohort, predictions, tmp_path / "out", *options)
    assert status == 2
    assert "is of one case, and --predictions has 2: give the folder of the references" in err


def test_a_list_of_cases_is_matched_by_names(unet_bundles, cohort, predictions, tmp_path):
    good, bad = sorted(predictions.glob("*.nii.gz"))
    bad.unlink()
    rows = [f"{case.name},{case}/{case.name}-t2f.nii.gz" for case in sorted(cohort.iterdir())]
    listed = tmp_path / "cases.csv"
    listed.write_text("\n".join(["case,flair", *rows]))
    status, report, err = draw(unet_bundles, listed, predictions, tmp_path / "out")
    assert (status, report["written"]) == (0, [good.name.removesuffix(".nii.gz")]), err


def test_a_refused_case_keeps_its_reason(unet_bundles, cohort, predictions, tmp_path):
    case = min(cohort.iterdir())
    copy = tmp_path / "cases" / case.name
    shutil.copytree(case, copy)
    shutil.copy(copy / f"{case.name}-t2f.nii.gz", copy / f"{case.name}-flair.nii.gz")
    status, report, _ = draw(unet_bundles, copy.parent, predictions, tmp_path / "out")
    assert status == 1
    assert f"{case.name}-flair.nii.gz" in report["failed"][case.name]


def test_an_unknown_modality_is_told_with_the_nearest(unet_bundles, cohort, predictions, tmp_path):
    options = ("--modality", "flare")
    status, _, err = draw(unet_bundles, cohort, predictions, tmp_path / "out", *options)
    assert status == 2
    assert "did you mean flair?" in err
