"""unet-bundles convert, and segment on DICOM: nothing that is written names a patient."""

import json

import nibabel as nib
import numpy as np
import pytest

from tests.data.dicom_files import PATIENT, FakeSeries, write_study


def everything(folder):
    """The names and the bytes of all that lies in ``folder``."""
    names = " ".join(str(path.relative_to(folder)) for path in folder.rglob("*"))
    return names.encode() + b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())


def test_a_study_becomes_a_case_of_nifti_files(unet_bundles, tmp_path):
    source = write_study(tmp_path / PATIENT)
    status, out, _ = unet_bundles("convert", source, tmp_path / "out", "--json")
    assert status == 0
    (case,) = json.loads(out)["written"]
    names = sorted(path.name for path in (tmp_path / "out" / case).iterdir())
    assert names == ["flair.nii.gz", "t1.nii.gz", "t1c.nii.gz", "t2.nii.gz"]
    image = nib.load(tmp_path / "out" / case / "t2.nii.gz")
    assert image.get_data_dtype() == np.int16
    assert np.asarray(image.dataobj)[2, 2].tolist() == [100, 200, 300, 400]
    assert PATIENT not in out
    for secret in (PATIENT, "ID-77", "1.2.3"):
        assert secret.encode() not in everything(tmp_path / "out")


def test_a_series_that_fails_does_not_stop_the_others(unet_bundles, tmp_path):
    FakeSeries(1, "FLAIR").write(tmp_path / PATIENT / "a")
    FakeSeries(2, "T2", positions=[(0, 0, z) for z in (0, 1, 5, 6)]).write(tmp_path / PATIENT / "b")
    status, out, _ = unet_bundles("convert", tmp_path / PATIENT, tmp_path / "out", "--json")
    report = json.loads(out)
    assert status == 1
    assert list(report["written"].values()) == [["flair"]]
    assert "has a gap" in str(report["failed"])
    assert PATIENT not in out


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_a_folder_without_dicom_is_told(unet_bundles, tmp_path, folder):
    (tmp_path / "empty").mkdir()
    status, _, err = unet_bundles("convert", tmp_path / folder, tmp_path / "out")
    assert status == 2
    assert "give the folder" in err


def test_a_study_is_segmented_on_its_own_grid_under_its_pseudonym(unet_bundles, run, tmp_path):
    source = write_study(
        tmp_path / PATIENT, size=(20, 18), positions=[(0, 0, 2 * i) for i in range(17)],
        orientations=[(1, 0, 0, 0, 1, 0)] * 17,
    )  # fmt: skip
    arguments = ("--images", source, "--output", tmp_path / "out", "--json", "--align")
    status, out, _ = unet_bundles("segment", run, *arguments)
    assert status == 0
    (case,) = json.loads(out)["written"]
    image = nib.load(tmp_path / "out" / f"{case}.nii.gz")
    assert image.shape == (20, 18, 17)
    np.testing.assert_allclose(image.affine[:3, 3], (0, 0, 0))
    assert (tmp_path / "out" / "alignment" / f"{case}.json").is_file()
    for secret in (PATIENT, "ID-77"):
        assert secret not in out
        assert secret.encode() not in everything(tmp_path / "out")
