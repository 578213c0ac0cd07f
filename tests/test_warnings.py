"""What admission warns of is told by every verb, and private paths stay on the screen."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from pipeline.data.phantom import write_cohort
from tests.conftest import TINY
from tests.data.dicom_files import PATIENT, write_study

MODALITIES = ("flair", "t1", "t1c", "t2")


@pytest.fixture
def twice_one_file(tmp_path: Path) -> Path:
    """Two phantoms; the T1 of the first is a copy of its T2."""
    root = tmp_path / "cases"
    first, _ = write_cohort(root, 2, shape=(20, 18, 16))
    shutil.copy(root / first / f"{first}-t2w.nii.gz", root / first / f"{first}-t1n.nii.gz")
    return root


def test_segment_tells_warnings_and_writes_the_prediction(
    unet_bundles, run, twice_one_file, tmp_path
):
    arguments = ("--images", twice_one_file, "--output", tmp_path / "out")
    status, out, err = unet_bundles("segment", run, *arguments, "--json")
    report = json.loads(out)
    assert status == 0
    assert len(report["written"]) == 2
    ((case, (sentence,)),) = report["warned"].items()
    assert case == report["written"][0]
    assert "has the voxels of" in sentence
    assert [line for line in err.splitlines() if "warned" in line] == [
        f"warned: {case}: {sentence}"
    ]


def test_train_tells_warnings_and_starts(unet_bundles, twice_one_file, tmp_path):
    arguments = ("train", "unet3d", "--data", twice_one_file, "--output", tmp_path / "run")
    settings = (*TINY, "max_epochs=1", "val_interval=1", "validation_fraction=0.5")
    status, _, err = unet_bundles(*arguments, "--set", *settings)
    assert status == 0
    (line,) = (line for line in err.splitlines() if line.startswith("warned"))
    assert "has the voxels of" in line


def write_case(folder: Path, label: np.ndarray) -> None:
    """Four modalities and a label of one case, named plainly."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for name in MODALITIES:
        image = random.integers(1, 99, label.shape).astype(np.int16)
        nib.save(nib.Nifti1Image(image, np.eye(4)), folder / f"{name}.nii.gz")
    nib.save(nib.Nifti1Image(label, np.eye(4)), folder / "seg.nii.gz")


def labelled_with(*values: int) -> np.ndarray:
    label = np.zeros((6, 5, 4), np.uint8)
    for place, value in enumerate(values):
        label[place] = value
    return label


def test_check_takes_different_grids_where_they_are_to_be_aligned(unet_bundles, tmp_path):
    write_case(tmp_path / "cases" / "ann", labelled_with(1, 2, 4))
    other = nib.Nifti1Image(
        np.arange(1, 49, dtype=np.int16).reshape(4, 4, 3), np.diag((2, 2, 2, 1))
    )
    nib.save(other, tmp_path / "cases" / "ann" / "t2.nii.gz")
    status, out, _ = unet_bundles("check", tmp_path / "cases", "--json")
    assert (status, json.loads(out)["ann"][0]["code"]) == (1, "different-grids")
    status, out, _ = unet_bundles("check", tmp_path / "cases", "--json", "--align")
    assert (status, json.loads(out)["ann"]) == (0, [])


def test_check_refuses_an_image_that_cannot_be_aligned(unet_bundles, tmp_path):
    write_case(tmp_path / "cases" / "ann", labelled_with(1, 2, 4))
    far = nib.Nifti1Image(np.ones((4, 4, 3), np.int16), np.diag((2, 2, 2, 1)))
    far.affine[:3, 3] = 500
    nib.save(far, tmp_path / "cases" / "ann" / "t2.nii.gz")
    status, out, _ = unet_bundles("check", tmp_path / "cases", "--json", "--align")
    (finding, *_) = json.loads(out)["ann"]
    assert (status, finding["code"]) == (1, "different-grids")
    assert "t2.nii.gz has nothing where" in finding["sentence"]


def test_check_takes_a_layout(unet_bundles, tmp_path):
    write_case(tmp_path / "ann", labelled_with(1, 2, 4))
    for name in (*MODALITIES, "seg"):
        (tmp_path / "ann" / f"{name}.nii.gz").rename(tmp_path / f"ann+{name}.nii.gz")
    layout = "pattern:{case}+{modality}.nii.gz"
    status, out, _ = unet_bundles("check", tmp_path, "--json", "--layout", layout)
    assert (status, json.loads(out)) == (0, {"ann": []})


@pytest.mark.parametrize("refused", [False, True])
def test_check_writes_no_path_of_a_patient(unet_bundles, tmp_path, refused):
    folder = write_study(tmp_path / PATIENT, voxels=np.full((5, 4, 4), 100))
    if refused:
        shutil.rmtree(folder / f"{PATIENT}-2")
    status, out, _ = unet_bundles("check", folder, "--json")
    ((name, entries),) = json.loads(out).items()
    assert status == int(refused)
    assert entries
    assert name.startswith("dicom-")
    assert PATIENT not in out


def test_evaluate_tells_the_convention_by_the_values(unet_bundles, tmp_path):
    label = labelled_with(1, 2, 4)
    write_case(tmp_path / "cases" / "ann", label)
    (tmp_path / "out").mkdir()
    nib.save(nib.Nifti1Image(label, np.eye(4)), tmp_path / "out" / "ann.nii.gz")
    arguments = ("--predictions", tmp_path / "out", "--references", tmp_path / "cases", "--json")
    status, out, err = unet_bundles("evaluate", *arguments)
    assert status == 0
    assert "labels follow brats2018, told by their values" in err
    assert out.count('"dice": 1.0') >= 3


def test_evaluate_does_not_guess_the_convention(unet_bundles, tmp_path):
    write_case(tmp_path / "cases" / "ann", labelled_with(1, 2, 3))
    (tmp_path / "out").mkdir()
    arguments = ("--predictions", tmp_path / "out", "--references", tmp_path / "cases")
    status, _, err = unet_bundles("evaluate", *arguments)
    assert status == 2
    assert "brats2023, msd_brats (--labels)" in err


def test_evaluate_takes_a_layout(unet_bundles, tmp_path):
    label = labelled_with(1, 2, 4)
    image = nib.Nifti1Image(label, np.eye(4))
    for folder, name in (("out", "ann.nii.gz"), ("cases", "ann+seg.nii.gz")):
        (tmp_path / folder).mkdir()
        nib.save(image, tmp_path / folder / name)
    arguments = ("--predictions", tmp_path / "out", "--references", tmp_path / "cases")
    layout = "pattern:{case}+{modality}.nii.gz"
    assert unet_bundles("evaluate", *arguments, "--layout", layout)[0] == 0
