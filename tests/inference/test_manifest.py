"""What ``run.json`` says of a run of ``segment``."""

import hashlib
import json
import platform
import re
import shutil
from pathlib import Path

import jsonschema
import nibabel as nib
import numpy as np
import pytest

from pipeline.inference.manifest import without_folders
from tests.data.dicom_files import PATIENT, FakeSeries

STEPS = ("load", "compile", "network", "restore", "write")
SHA256 = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
SECONDS = {"type": "number", "minimum": 0}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"}


def closed(properties, optional=()):
    """An object with these keys and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": [key for key in properties if key not in optional],
        "additionalProperties": False,
    }


PARAMETERS = {
    "spatial_dims": {"type": "integer"},
    "spacing": {"type": ["array", "null"]},
    "patch_size": {"type": ["array", "string"]},
    "recipe": {"type": "object"},
    "inferer": {"type": "object", "required": ["overlap", "mode", "mirror", "divisor"]},
    "postprocessing": closed({"smallest": {"type": "object"}, "largest": {}}),
}
MEMBER = {
    "bundle": {"type": "string"},
    "backend": {"type": "string"},
    "weights": closed({"file": {"type": "string"}, "sha256": SHA256}),
}
RUN = {
    "started": TIME,
    "ended": {"anyOf": [TIME, {"type": "null"}]},
    "versions": {
        "type": "object",
        "required": ["python", "unet-bundles", "torch", "monai", "numpy", "nibabel"],
        "additionalProperties": {"type": "string"},
    },
    "platform": {"type": "string"},
    "device": {"type": "string"},
    **MEMBER,
    "parameters": closed(PARAMETERS | {"options": {"type": "object"}}),
    "ensemble": {"type": "array", "items": closed(MEMBER | {"parameters": closed(PARAMETERS)})},
    "times_s": closed(dict.fromkeys(STEPS, SECONDS)),
}
WINDOWS = closed(
    {
        "count": {"type": "integer"},
        "skipped": {"type": "integer"},
        "size": {"type": "array"},
        "volume": {"type": "array"},
        "computed_over_needed": {"type": "number"},
    }
)
CASE = closed(
    {
        "outcome": {"enum": ["written", "failed"]},
        "run": TIME,
        "input_sha256": {"type": "object", "additionalProperties": SHA256},
        "times_s": closed(dict.fromkeys(STEPS, SECONDS), optional=STEPS),
        "windows": {"type": "array", "items": WINDOWS},
        "volumes_ml": {"type": "object", "additionalProperties": {"type": "number"}},
        "findings": {
            "type": "array",
            "items": closed({"code": {"type": ["string", "null"]}, "sentence": {"type": "string"}}),
        },
    }
)
LEFT = closed({"outcome": {"const": "left"}})
SCHEMA = closed(
    {
        "task": {"type": "object"},
        "labels": {"type": "string"},
        **RUN,
        "cases": {"type": "object", "additionalProperties": {"anyOf": [CASE, LEFT]}},
        "earlier": {"type": "array", "items": closed(RUN)},
    }
)


@pytest.fixture
def cases(cohort, tmp_path):
    """Two of the phantoms, to be spoilt."""
    for case in sorted(cohort.iterdir())[:2]:
        shutil.copytree(case, tmp_path / "cases" / case.name)
    return sorted((tmp_path / "cases").iterdir())


@pytest.fixture
def segment(unet_bundles, run, tmp_path):
    """Run ``segment``; gives the exit status and the content of ``run.json``."""

    def call(images, *options):
        output = tmp_path / "out"
        status, _, _ = unet_bundles(
            "segment", run, "--images", images, "--output", output, *options
        )
        return status, json.loads((output / "run.json").read_text())

    return call


def file_of(case: Path, ending: str) -> Path:
    return case / f"{case.name}-{ending}.nii.gz"


def test_a_run_says_how_its_predictions_were_made(segment, run, cases):
    status, content = segment(cases[0].parent)
    jsonschema.validate(content, SCHEMA)
    assert status == 0
    assert content["bundle"] == run.name
    assert content["parameters"]["patch_size"] == [16, 16, 16]
    assert content["parameters"]["inferer"]["overlap"] == 0.5
    assert content["backend"] == "eager"
    assert re.fullmatch(r"cpu \(\d+ threads?\)|cuda:\d+ \(.+\)", content["device"])
    weights = (run / "models" / "model.safetensors").read_bytes()
    assert content["weights"]["sha256"] == hashlib.sha256(weights).hexdigest()
    assert content["started"] < content["ended"]
    assert content["earlier"] == []
    assert content["ensemble"] == []


def test_each_member_of_an_ensemble_is_told(segment, run, cases, tmp_path):
    weights = run / "models" / "model.safetensors"
    other = shutil.copy(weights, tmp_path / "other.safetensors")
    _, content = segment(cases[0], "--weights", weights, other, "--mirror", 0)
    jsonschema.validate(content, SCHEMA)
    (member,) = content["ensemble"]
    assert (content["weights"]["file"], member["weights"]["file"]) == (weights.name, other.name)
    assert content["parameters"]["inferer"]["mirror"] == [0]
    assert len(content["cases"][cases[0].name]["windows"]) == 2


def test_a_case_is_told_by_its_inputs_its_volumes_and_its_times(segment, cases, tmp_path):
    _, content = segment(cases[0])
    entry = content["cases"][cases[0].name]
    assert entry["outcome"] == "written"
    assert entry["input_sha256"] == {
        modality: hashlib.sha256(file_of(cases[0], ending).read_bytes()).hexdigest()
        for modality, ending in {"flair": "t2f", "t1": "t1n", "t1c": "t1c", "t2": "t2w"}.items()
    }
    prediction = nib.load(tmp_path / "out" / f"{cases[0].name}.nii.gz")
    label = np.asarray(prediction.dataobj)
    voxel_ml = abs(np.linalg.det(prediction.affine[:3, :3])) / 1000
    expected = {
        region: np.isin(label, values).sum() * voxel_ml
        for region, values in {"TC": (1, 3), "WT": (1, 2, 3), "ET": (3,)}.items()
    }
    assert entry["volumes_ml"] == pytest.approx(expected, abs=1e-3)
    assert entry["times_s"] == content["times_s"]  # there is no other case


def test_a_case_that_failed_is_there_with_its_sentence(segment, cases):
    damaged, lacking = cases
    file_of(damaged, "t1c").write_bytes(file_of(damaged, "t1c").read_bytes()[:-100])
    file_of(lacking, "t1n").unlink()
    status, content = segment(damaged.parent)
    jsonschema.validate(content, SCHEMA)
    assert status == 1
    entry = content["cases"][damaged.name]
    assert (entry["outcome"], entry["volumes_ml"]) == ("failed", {})
    assert [found["code"] for found in entry["findings"]] == ["damaged-gzip"]
    assert entry["findings"][0]["sentence"].startswith(f"{damaged.name}-t1c.nii.gz is damaged")
    assert list(entry["times_s"]) == ["load"]
    ((found),) = content["cases"][lacking.name]["findings"]
    assert found["code"] == "missing-file"
    assert f"case {lacking.name} under cases has no t1 image" in found["sentence"]


def test_a_finding_has_its_code(segment, cases):
    shutil.copy(file_of(cases[0], "t1n"), file_of(cases[0], "t1c"))
    _, content = segment(cases[0])
    entry = content["cases"][cases[0].name]
    assert entry["outcome"] == "written"
    assert [found["code"] for found in entry["findings"]] == ["identical-images"]
    assert f"{cases[0].name}-t1c.nii.gz has the voxels of" in entry["findings"][0]["sentence"]


def test_neither_folder_nor_host_is_named(segment, run, cases, tmp_path):
    file_of(cases[0], "t1c").write_bytes(b"")
    file_of(cases[1], "t1n").unlink()
    _, content = segment(cases[0].parent)
    text = json.dumps(content)
    for private in (tmp_path, run, Path.home(), Path.cwd()):
        assert str(private) not in text
    assert f'"{platform.node()}"' not in text
    assert ': "/' not in text


def test_a_dicom_study_goes_by_its_pseudonym(unet_bundles, run, tmp_path):
    folder = tmp_path / PATIENT
    for number, name in enumerate(("FLAIR", "T1", "T1 post", "T2"), start=1):
        FakeSeries(number, name, tags={"0010|0010": PATIENT}).write(folder / name)
    (folder / "T2" / "IM100").write_bytes(b"\0" * 128 + b"DICM damaged")
    unet_bundles("segment", run, "--images", tmp_path, "--output", tmp_path / "out")
    text = (tmp_path / "out" / "run.json").read_text()
    ((name, entry),) = json.loads(text)["cases"].items()
    assert name.startswith("dicom-")
    assert entry["findings"]
    assert PATIENT not in text


def test_a_later_run_keeps_what_is_said_of_cases_that_are_left(segment, cases):
    _, first = segment(cases[0])
    status, second = segment(cases[0].parent, "--probabilities")
    jsonschema.validate(second, SCHEMA)
    assert status == 0
    kept, made = (second["cases"][case.name] for case in cases)
    assert kept == first["cases"][cases[0].name]
    assert made["run"] == second["started"]
    assert [run["started"] for run in second["earlier"]] == [kept["run"]]
    assert not second["earlier"][0]["parameters"]["options"]["probabilities"]
    assert second["parameters"]["options"]["probabilities"]


def test_a_run_of_which_no_case_is_left_is_forgotten(segment, cases):
    segment(cases[0])
    _, content = segment(cases[0], "--overwrite")
    assert content["earlier"] == []
    assert content["cases"][cases[0].name]["run"] == content["started"]


def test_a_prediction_from_elsewhere_is_said_to_be_left(segment, cases, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f"{cases[0].name}.nii.gz").write_bytes(b"mine")
    _, content = segment(cases[0])
    jsonschema.validate(content, SCHEMA)
    assert content["cases"] == {cases[0].name: {"outcome": "left"}}


@pytest.mark.usefixtures("patient")
def test_an_interruption_leaves_what_was_done_before(segment, cases, monkeypatch):
    from pipeline.inference import Segmenter

    own, seen = Segmenter.segment, []

    def stop_at_the_second(self, prepared, *results):
        seen.append(prepared)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return own(self, prepared, *results)

    monkeypatch.setattr(Segmenter, "segment", stop_at_the_second)
    status, content = segment(cases[0].parent)
    assert status == 130
    assert content["ended"] is None
    assert list(content["cases"]) == [cases[0].name]
    monkeypatch.undo()
    _, content = segment(cases[0].parent)
    assert sorted(content["cases"]) == [case.name for case in cases]


def test_a_damaged_record_is_told(unet_bundles, run, cases, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text("{")
    status, _, err = unet_bundles(
        "segment", run, "--images", cases[0], "--output", tmp_path / "out"
    )
    assert status == 2
    assert "run.json is damaged: remove it" in err


@pytest.mark.parametrize(
    ("text", "folders", "shown"),
    [
        ("/a/b/c.nii is empty", [], "c.nii is empty"),
        ("no folder /data: name one", [], "no folder data: name one"),
        ("'/a b/c d/e f.nii' is cut", ["/a b/c d"], "'e f.nii' is cut"),
        ("cases/ann/t1.nii and cases/ann/t2.nii", ["cases/ann"], "t1.nii and t2.nii"),
        ("take brats2018 and/or 3 / 4, see https://a.b/c", ["."], None),
    ],
)
def test_a_path_becomes_the_name_of_what_it_leads_to(text, folders, shown):
    assert without_folders(text, map(Path, folders)) == (text if shown is None else shown)
