"""A training that was killed goes on as if it had never stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from pipeline.bundles import Bundle
from pipeline.data.phantom import write_cohort
from pipeline.data.splits import Split
from pipeline.errors import UserError
from pipeline.runs import check_output, goes_on
from tests.conftest import TINY
from tests.training.curves import curve, names, pictures

SETTINGS = (
    *TINY[2:5],
    "num_workers=1",
    "max_epochs=4",
    "val_interval=2",
    "checkpoint_interval=3",
    "batch_size=1",
    "validation_fraction=0.3",
    "listeners=[{_target_: pipeline.training.AveragedWeights, network: '@network', "
    "evaluator: '@validate::evaluator', decay: 0.5}]",
)


def start(cohort: Path, output: Path, *more: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "pipeline", "train", "unet3d", "--data", str(cohort)]
    command += ["--output", str(output), "--threads", "1", *more, "--set", *SETTINGS]
    with output.with_suffix(".log").open("w") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def train(cohort: Path, output: Path, *more: str) -> None:
    process = start(cohort, output, *more)
    assert process.wait(300) == 0, output.with_suffix(".log").read_text()


@pytest.fixture(scope="module")
def whole(cohort, tmp_path_factory):
    """A run of two training cases, four epochs of two iterations, that nobody disturbed."""
    run = tmp_path_factory.mktemp("whole") / "run"
    train(cohort, run)
    return run


def test_a_seed_decides_the_run(cohort, whole, tmp_path):
    again = tmp_path / "again"
    train(cohort, again)
    for name in ("loss/total", "dice/WT"):
        assert curve(again, name) == curve(whole, name)
    weights = "models/model.safetensors"
    assert (again / weights).read_bytes() == (whole / weights).read_bytes()


def test_a_killed_training_goes_on_bit_for_bit(cohort, whole, tmp_path):
    run = tmp_path / "run"
    process = start(cohort, run)
    wait_for(run / "checkpoints/00000003/state.json")  # in the middle of the second epoch
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert len(curve(run, "loss/total")) < 8
    train(cohort, run, "--resume")
    for name in ("loss/total", "loss/dice", "learning_rate", "dice/WT"):
        assert curve(run, name) == curve(whole, name)
    weights = "models/model.safetensors"
    assert (run / weights).read_bytes() == (whole / weights).read_bytes()


def test_checkpoints_are_those_of_the_interval_and_the_last(whole):
    folders = sorted(path.name for path in (whole / "checkpoints").iterdir())
    assert folders == ["00000003", "00000006", "00000008"]


def test_the_curves_show_losses_by_part_rate_scores_by_region_and_a_picture(whole):
    assert {"loss/total", "loss/dice", "loss/cross_entropy", "learning_rate"} <= names(whole)
    assert {"dice/TC", "dice/WT", "dice/ET", "iou/TC", "iou/WT", "iou/ET"} <= names(whole)
    assert pictures(whole) == [4, 8]


def test_going_on_with_other_settings_is_refused(cohort, whole, unet_bundles):
    status, _, err = unet_bundles(
        *("train", whole, "--data", cohort, "--resume", "--set", "batch_size=2")
    )
    assert status == 2
    assert "was trained with another batch_size (1)" in " ".join(err.split())


@pytest.mark.parametrize(
    ("changed", "refused"),
    [
        ({}, False),
        ({"split": {"seed": 0}}, False),  # of a version that did not know start_from
        ({"split": {"seed": 1, "start_from": None}}, True),
        ({"loss": {"weights": 2}}, True),
    ],
)
def test_what_decides_a_run_is_what_it_was(tmp_path, changed, refused):
    settings = {"split": {"seed": 0, "start_from": "a"}, "loss": {"weights": 1}}
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/train.yaml").write_text(json.dumps(settings | changed))
    (tmp_path / "checkpoints/00000001").mkdir(parents=True)
    with pytest.raises(UserError, match="was trained with another") if refused else nullcontext():
        check_output(Bundle(tmp_path), settings, resume=True)


def test_a_split_or_weights_that_would_not_be_used_are_refused(tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/train.yaml").write_text("seed: 0")
    (tmp_path / "checkpoints/00000001").mkdir(parents=True)
    Split(("a",), ("b",)).write(tmp_path / "split.json")
    Split(("b",), ("a",)).write(tmp_path / "other.json")
    settings, run = {"seed": 0, "split_file": str(tmp_path / "split.json")}, Bundle(tmp_path)
    check_output(run, settings, resume=True)
    more = {"train": ["a"], "validation": ["b"], "test": ["c"]}
    (tmp_path / "more.json").write_text(json.dumps(more))
    check_output(run, settings | {"split_file": str(tmp_path / "more.json")}, resume=True)
    for given, words in (("other.json", "leave --split out"), ("none.json", "leave --split out")):
        with pytest.raises(UserError, match=words):
            check_output(run, settings | {"split_file": str(tmp_path / given)}, resume=True)
    with pytest.raises(UserError, match=r"was not started from a\.safetensors"):
        check_output(run, settings | {"start_from": "a.safetensors"}, resume=True)


def test_going_on_with_other_cases_is_refused(whole, tmp_path, unet_bundles):
    write_cohort(tmp_path / "others", 3, shape=(20, 18, 16), seed=9)
    for path in (tmp_path / "others").iterdir():
        path.rename(path.with_name(f"other-{path.name}"))
    status, _, err = unet_bundles("train", whole, "--data", tmp_path / "others", "--resume")
    assert status == 2
    assert "split.json" in err


@pytest.mark.parametrize(
    ("given", "meant"), [(True, True), (False, False), ("true", True), ("FALSE", False)]
)
def test_resume_is_understood_as_monai_gives_it(given, meant):
    assert goes_on(given) is meant


def test_a_resume_that_is_neither_true_nor_false_is_refused():
    with pytest.raises(UserError, match="resume takes true or false, not 'maybe'"):
        goes_on("maybe")


def test_going_on_without_a_checkpoint_is_refused(cohort, tmp_path, unet_bundles):
    status, _, err = unet_bundles(
        *("train", "unet3d", "--data", cohort, "--output", tmp_path, "--resume"),
        *("--set", *TINY),
    )
    assert status == 2
    assert "no checkpoint under" in err


def wait_for(path: Path) -> None:
    for _ in range(30_000):
        if path.exists():
            return
        time.sleep(0.01)
    raise AssertionError(f"{path} never came")
