"""unet-bundles check: every finding is told before a network sees the cases."""

import json
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from tests.conftest import ROOT
from tests.data.dicom_files import PATIENT, FakeSeries, write_study


@pytest.fixture
def two_cases(tmp_path, cohort):
    """A phantom that is whole and one with a damaged image."""
    root = tmp_path / "cases"
    for source in sorted(cohort.iterdir())[:2]:
        (root / source.name).mkdir(parents=True)
        for path in source.iterdir():
            (root / source.name / path.name).symlink_to(path)
    bad = root / "phantom-001" / "phantom-001-t1n.nii.gz"
    content = bad.read_bytes()
    bad.unlink()
    bad.write_bytes(content[:-4])
    return root


def test_check_prints_each_finding_and_fails_if_a_case_is_refused(unet_bundles, two_cases):
    status, out, _ = unet_bundles("check", two_cases, "--json")
    found = json.loads(out)
    assert status == 1
    assert found["phantom-000"] == []
    (entry,) = found["phantom-001"]
    assert entry["code"] == "damaged-gzip"
    assert entry["severity"] == "refused"
    assert entry["file"] == str(two_cases / "phantom-001" / "phantom-001-t1n.nii.gz")
    assert "copy it again" in entry["sentence"]
    status, out, _ = unet_bundles("check", two_cases)
    assert status == 1
    assert "damaged-gzip" in out
    assert "2 cases: 1 good, 0 warned of, 1 refused" in out


def test_check_tells_a_missing_modality(unet_bundles, two_cases):
    (two_cases / "phantom-001" / "phantom-001-t1n.nii.gz").unlink()
    status, out, _ = unet_bundles("check", two_cases, "--json")
    assert status == 1
    assert json.loads(out)["phantom-001"][0]["code"] == "missing-file"


def test_check_takes_modalities_and_classes_from_a_dataset_json(unet_bundles, tmp_path):
    image = np.arange(6 * 7 * 8, dtype=np.int16).reshape(6, 7, 8)
    label = np.zeros((6, 7, 8), np.uint8)
    label[3, 3, 2:5] = 1, 2, 3
    for name, array in (("image", image), ("label", label)):
        nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / f"{name}.nii.gz")
    description = {
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "head", "2": "tail"},
        "training": [{"image": "image.nii.gz", "label": "label.nii.gz"}],
    }
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    status, out, _ = unet_bundles("check", tmp_path, "--json")
    assert status == 1
    ((entry,),) = json.loads(out).values()
    assert entry["code"] == "label-value"
    description["labels"]["3"] = "body"
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    assert unet_bundles("check", tmp_path)[0] == 0


def test_check_takes_the_task_of_a_test_set_from_the_file_beside_it(unet_bundles, tmp_path):
    images = tmp_path / "imagesTs"
    images.mkdir()
    array = np.random.default_rng(0).normal(100, 10, (6, 5, 4)).astype(np.float32)
    nib.save(nib.Nifti1Image(array, np.eye(4)), images / "a_0000.nii.gz")
    labels = {"background": 0, "liver": 1}
    description = {"channel_names": {"0": "CT"}, "labels": labels, "file_ending": ".nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    status, out, err = unet_bundles("check", images, "--json")
    assert status == 0, err
    assert list(json.loads(out)) == ["a"]


def test_check_takes_a_limit(unet_bundles, two_cases):
    status, out, _ = unet_bundles("check", two_cases, "--json", "--max-gib", "0.0001")
    assert status == 1
    assert {entry["code"] for entry in json.loads(out)["phantom-000"]} == {"too-large"}
    status, _, err = unet_bundles("check", two_cases, "--max-gib", "0")
    assert status == 2
    assert "--max-gib takes a size above 0" in err


@pytest.mark.parametrize("verb", ["segment", "train"])
def test_a_limit_holds_for_what_reads_the_cases(unet_bundles, run, two_cases, tmp_path, verb):
    arguments = {
        "segment": (run, "--images", two_cases, "--output", tmp_path / "out"),
        "train": ("unet3d", "--data", two_cases, "--output", tmp_path / "run", "--workers", "0"),
    }[verb]
    status, _, err = unet_bundles(verb, *arguments, "--max-gib", "0.00001")
    assert status > 0
    assert "(--max-gib)" in err


def test_check_says_what_it_takes_the_cases_for(unet_bundles, two_cases):
    _, _, err = unet_bundles("check", two_cases)
    assert "2 cases in the layout folders" in err
    assert "labels follow brats2023" in err


def test_check_imports_no_torch(two_cases):
    code = (
        "import sys; from pipeline.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert end.code == 1\n"
        "print([name for name in ('torch', 'monai') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, "check", str(two_cases), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_the_table_has_no_path_of_a_dicom_study(unet_bundles, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    study = write_study(tmp_path / PATIENT)
    FakeSeries(4, "T2 TSE", spacing=(1.0, 1.0)).write(study / f"{PATIENT}-4")
    status, out, _ = unet_bundles("check", tmp_path)
    assert status == 1
    assert "different-grids" in out
    assert PATIENT not in out
