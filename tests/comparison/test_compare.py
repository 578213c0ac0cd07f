"""Bundles are trained and scored alike; what is done is not done again."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

from pipeline.bundles import Bundle
from pipeline.cli import main
from pipeline.comparison.costs import costs
from pipeline.inference.cohort import Report
from pipeline.runs import burnt_in

SETTINGS = """
common: {spacing: null, patch_size: [16, 16, 16], batch_size: 1, num_workers: 0}
bundles:
  unet3d: {"network_def::features": [4, 4, 8]}
  vnet: {patch_size: [15, 16, 16]}
"""


def arguments(cohort, output, *more):
    """One that trains, and one whose patch does not fit."""
    file = output.with_suffix(".yaml")
    file.write_text(SETTINGS)
    given = ["compare", "--data", cohort, "--bundles", "unet3d,vnet", "--output", output]
    given += ["--budget", "iterations=3", "--settings", file, "--threads", "1", *more]
    return [str(one) for one in given]


@pytest.fixture(scope="module")
def compared(cohort, tmp_path_factory):
    """The folder of a comparison on three phantoms, one of which validates."""
    output = tmp_path_factory.mktemp("comparisons") / "comparison"
    with pytest.raises(SystemExit) as end:
        main(arguments(cohort, output))
    assert end.value.code == 1
    return output


def test_a_training_ends_with_its_budget_and_keeps_its_last_weights(compared):
    run = compared / "unet3d/fold0/run"
    assert json.loads((run / "budget.json").read_text())["iterations"] == 3
    last = sorted((run / "checkpoints").iterdir())
    assert [path.name for path in last] == ["00000002"]
    kept = load_file(run / "models/model.safetensors")
    assert any(
        (kept[key] != value).any()
        for key, value in load_file(last[0] / "network.safetensors").items()
    )


def test_a_bundle_that_fails_is_told_and_the_others_go_on(compared):
    content = json.loads((compared / "comparison.json").read_text())
    assert list(content["bundles"]) == ["unet3d"]
    assert "patch_size [15, 16, 16] does not fit VNet" in content["failures"]["vnet"]


def test_costs_and_scores_are_written(compared):
    rows = list(csv.DictReader((compared / "comparison.csv").read_text().splitlines()))
    assert [row["region"] for row in rows] == ["TC", "WT", "ET", "mean of regions"]
    row = rows[0]
    assert (row["bundle"], row["iterations"], row["patch_size"]) == ("unet3d", "3", "16x16x16")
    assert float(row["dice_low"]) <= float(row["dice"]) <= float(row["dice_high"])
    assert 0.1 < float(row["peak_gib"]) < 16


def test_what_is_done_is_not_done_again(compared, cohort, capsys):
    run = compared / "unet3d/fold0"
    before = {file: file.stat().st_mtime_ns for file in run.rglob("*") if file.is_file()}
    with pytest.raises(SystemExit):
        main(arguments(cohort, compared, "--json"))
    assert {file: file.stat().st_mtime_ns for file in run.rglob("*") if file.is_file()} == before
    assert "unet3d" in json.loads(capsys.readouterr().out)["bundles"]


def test_a_case_that_failed_is_told_and_tried_again(
    compared, cohort, tmp_path, capsys, monkeypatch
):
    compared = Path(shutil.copytree(compared, tmp_path / "comparison"))
    scores = compared / "unet3d/fold0/scores.json"
    before = scores.read_bytes()
    scores.unlink()
    segmenting = "pipeline.comparison.fold.segment_cases"
    with monkeypatch.context() as patch:

        def all_but_one(_, cases, folder, *_more, **_named):
            folder.mkdir()
            return Report(written=["another"], failed={cases[0].name: "no room for it"})

        patch.setattr(segmenting, all_but_one)
        with pytest.raises(SystemExit) as end:
            main([*arguments(cohort, compared, "--bundles", "unet3d")])
    assert end.value.code == 1
    assert "unet3d: phantom-000: no room for it" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        main([*arguments(cohort, compared, "--bundles", "unet3d")])
    assert end.value.code == 0
    assert scores.read_bytes() == before


def test_a_batch_size_beside_a_budget_of_memory_is_refused(cohort, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments(cohort, tmp_path / "new", "--budget", "memory=2GiB"))
    assert end.value.code == 2
    assert "batch_size of unet3d is what a budget of memory decides" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_another_budget_is_refused(compared, cohort, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments(cohort, compared, "--budget", "iterations=4"))
    assert end.value.code == 2
    assert "another budget" in capsys.readouterr().err


def test_costs_are_those_of_the_network(run, tmp_path):
    found = costs(Bundle(run))
    config = Bundle(run).config_file("inference")
    weights = load_file(run / "models/model.safetensors")
    parts = ("running_mean", "running_var", "num_batches_tracked")
    learnt = [value for key, value in weights.items() if not key.endswith(parts)]
    assert found.parameters == sum(value.numel() for value in learnt)
    larger = tmp_path / "run/configs"
    larger.mkdir(parents=True)
    changed = burnt_in(config.read_text(), {"patch_size": [32, 16, 16]})
    (larger / "inference.yaml").write_text(changed)
    assert costs(Bundle(tmp_path / "run")).multiply_adds == 2 * found.multiply_adds
