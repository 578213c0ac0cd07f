"""The command: its help, its verbs on phantoms, its results as JSON."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from pipeline import __version__

LAZY = """
import sys
from pipeline.cli import main
try:
    main({arguments})
except SystemExit:
    pass
print([name for name in ("torch", "monai") if name in sys.modules])
"""


@pytest.mark.parametrize("arguments", [["--help"], ["segment", "--help"], ["list"], ["--version"]])
def test_help_and_list_import_neither_torch_nor_monai(arguments):
    code = LAZY.format(arguments=arguments)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "arguments", [["--version"], ["list", "--version"], ["segment", "run", "--version", "--seed"]]
)
def test_version_is_printed(capsys, arguments):
    from pipeline.cli import main

    main(arguments)
    assert capsys.readouterr().out == f"unet-bundles {__version__}\n"


@pytest.mark.parametrize("verb", [[], ["list"], ["train"]])
def test_help_tells_of_the_version(unet_bundles, verb):
    status, out, _ = unet_bundles(*verb, "--help")
    assert status == 0
    assert "--version" in out


def test_an_unexpected_error_is_told_by_its_cause(monkeypatch, capsys):
    from pipeline.cli import main
    from pipeline.cli.list import List

    def run(_: List) -> int:
        raise RuntimeError("Failed to evaluate an expression") from ValueError("sizes differ")

    monkeypatch.setattr(List, "run", run)
    with pytest.raises(SystemExit) as ended:
        main(["list"])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told == "unet-bundles: unexpected ValueError: sizes differ (--debug shows where)\n"


def test_list_names_the_shipped_bundles(unet_bundles):
    status, out, _ = unet_bundles("list", "--json")
    assert status == 0
    assert "unet3d" in [bundle["name"] for bundle in json.loads(out)]


def test_a_run_is_a_complete_bundle(run):
    files = (
        "LICENSE",
        "configs/train.yaml",
        "configs/inference.yaml",
        "configs/metadata.json",
        "docs/README.md",
        "models/model.safetensors",
        "models/model.pt",
        "checkpoints/00000002/network.safetensors",
        "checkpoints/00000002/state.json",
        "checkpoints/00000002/state.safetensors",
        "split.json",
        "environment.json",
    )
    assert [file for file in files if not (run / file).is_file()] == []
    assert list((run / "curves").iterdir()) != []


def test_a_run_holds_its_overrides(run):
    for config in ("train.yaml", "inference.yaml"):
        text = (run / "configs" / config).read_text()
        assert "features: [4, 4, 8]" in text
        assert "patch_size: [16, 16, 16]" in text


def test_a_run_holds_nothing_of_the_machine(run, cohort):
    texts = [path.read_text() for path in (run / "configs").iterdir()]
    assert not any(str(cohort) in text or str(run) in text for text in texts)


def test_predictions_lie_on_the_grid_of_the_first_modality(unet_bundles, run, cohort, tmp_path):
    status, out, _ = unet_bundles(
        "segment", run, "--images", cohort, "--output", tmp_path / "out", "--json"
    )
    names = sorted(folder.name for folder in cohort.iterdir())
    assert status == 0
    assert json.loads(out) == {"written": names, "existing": [], "failed": {}, "warned": {}}
    for name in names:
        image = nib.load(cohort / name / f"{name}-t2f.nii.gz")
        prediction = nib.load(tmp_path / "out" / f"{name}.nii.gz")
        assert prediction.shape == image.shape
        np.testing.assert_array_equal(prediction.affine, image.affine)
        for field in ("qform_code", "sform_code", "xyzt_units"):
            assert prediction.header[field] == image.header[field]
        assert set(np.unique(prediction.dataobj)) <= {0, 1, 2, 3}


def test_a_prediction_that_exists_is_left(unet_bundles, run, cohort, tmp_path):
    case = min(cohort.iterdir())
    (tmp_path / f"{case.name}.nii.gz").write_bytes(b"mine")
    status, out, _ = unet_bundles("segment", run, "--images", case, "--output", tmp_path, "--json")
    assert (status, json.loads(out)["existing"]) == (0, [case.name])
    assert (tmp_path / f"{case.name}.nii.gz").read_bytes() == b"mine"
    unet_bundles("segment", run, "--images", case, "--output", tmp_path, "--overwrite")
    assert (tmp_path / f"{case.name}.nii.gz").read_bytes() != b"mine"


def test_one_case_is_given_by_modality(unet_bundles, run, cohort, tmp_path):
    case = min(cohort.iterdir())
    files = {"t1ce": "t1c", "flair": "t2f", "T1": "t1n", "t2": "t2w"}
    images = [f"{name}={case / f'{case.name}-{ending}.nii.gz'}" for name, ending in files.items()]
    status, _, _ = unet_bundles("segment", run, "--images", *images, "--output", tmp_path)
    assert status == 0
    assert (tmp_path / f"{case.name}.nii.gz").is_file()


def test_the_written_convention_is_the_one_asked_for(unet_bundles, run, cohort, tmp_path):
    case = min(cohort.iterdir())
    arguments = ("segment", run, "--images", case, "--probabilities", "--output")
    unet_bundles(*arguments, tmp_path / "a", "--labels", "brats2023")
    unet_bundles(*arguments, tmp_path / "b", "--labels", "msd_brats")
    a, b = (
        np.asarray(nib.load(tmp_path / folder / f"{case.name}.nii.gz").dataobj) for folder in "ab"
    )
    assert a.any()
    np.testing.assert_array_equal(np.array([0, 2, 1, 3])[a], b)
    probability = nib.load(tmp_path / "a" / "probabilities" / f"{case.name}_WT.nii.gz")
    assert probability.shape == a.shape
    np.testing.assert_array_equal(np.asarray(probability.dataobj) >= 0.5, a > 0)


def test_references_score_perfectly_against_themselves(unet_bundles, cohort, tmp_path):
    for case in cohort.iterdir():
        label = (case / f"{case.name}-seg.nii.gz").read_bytes()
        (tmp_path / f"{case.name}.nii.gz").write_bytes(label)
    scores = tmp_path / "scores.csv"
    status, out, _ = unet_bundles(
        "evaluate", "--predictions", tmp_path, "--references", cohort, "--output", scores, "--json"
    )
    summary = json.loads(out)["summary"]
    assert status == 0
    assert list(summary) == ["TC", "WT", "ET"]
    assert {region["dice"]["mean"] for region in summary.values()} == {1.0}
    assert {region["hd95_mm"]["mean"] for region in summary.values()} == {0.0}
    assert len(scores.read_text().splitlines()) == 1 + 3 * len(list(cohort.iterdir()))


def test_the_convention_of_the_bundle_is_written_where_none_is_asked_for(
    unet_bundles, run, cohort, tmp_path
):
    copied = Path(shutil.copytree(run, tmp_path / "run"))
    config = copied / "configs" / "inference.yaml"
    text = config.read_text()
    assert text.count("written_labels: null") == 1
    config.write_text(text.replace("written_labels: null", "written_labels: brats2018"))
    case = min(cohort.iterdir())
    unet_bundles("segment", copied, "--images", case, "--output", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "run.json").read_text())["labels"] == "brats2018"


def test_the_split_of_a_file_is_used_and_written(unet_bundles, cohort, tmp_path):
    from tests.conftest import TINY

    a, b, c = sorted(case.name for case in cohort.iterdir())
    split = {"train": [c, a], "validation": [b]}
    Path(tmp_path / "split.json").write_text(json.dumps(split))
    status, _, _ = unet_bundles(
        *("train", "unet3d", "--data", cohort, "--output", tmp_path / "run"),
        *("--split", tmp_path / "split.json", "--set", *TINY, "max_epochs=1"),
    )
    assert status == 0
    assert json.loads((tmp_path / "run" / "split.json").read_text()) == split
