"""MLflow keeps the curves too, in a database beside the run."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.util import find_spec

import pytest

from tests.conftest import ROOT, TINY
from tests.training.curves import curve


@pytest.mark.skipif(find_spec("mlflow") is None, reason="no mlflow")
def test_the_database_holds_the_losses_and_scores_of_the_curves(cohort, tmp_path):
    run = tmp_path / "run"
    command = [sys.executable, "-m", "pipeline", "train", "unet3d", "--data", cohort]
    command += ["--output", run, "--tracking", "mlflow", "--set", *TINY]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    with closing(sqlite3.connect(run / "mlruns.db")) as database:
        rows = database.execute("select key, step, value from metrics").fetchall()
    losses = {step: value for key, step, value in rows if key == "train_loss"}
    assert losses == pytest.approx(curve(run, "loss/total"))
    assert {"mean_dice", "mean_iou"} <= {key for key, _, _ in rows}
    assert "MLFlowHandler" not in (run / "configs/train.yaml").read_text()


@pytest.mark.skipif(find_spec("mlflow") is None, reason="no mlflow")
def test_a_run_goes_on_with_tracking_and_keeps_where_it_started(
    cohort, run, tmp_path, unet_bundles
):
    output, weights = tmp_path / "run", run / "models/model.safetensors"
    arguments = ("train", "unet3d", "--data", cohort, "--output", output)
    status, _, err = unet_bundles(*arguments, "--set", *TINY, f"start_from={weights}")
    assert status == 0, err
    for tracking in (("--tracking", "mlflow"), ()):
        status, _, err = unet_bundles(*arguments, "--resume", *tracking, "--set", *TINY)
        assert status == 0, err
    environment = json.loads((output / "environment.json").read_text())
    assert environment["start_from"] == str(weights)
