"""Two processes that train together do what one does with twice the batch."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.data.phantom import write_cohort
from tests.conftest import ROOT
from tests.training.curves import curve

pytestmark = pytest.mark.distributed
SETTINGS = (
    *("--max_epochs=2", "--val_interval=1", "--spacing=None", "--patch_size=[16,16,16]"),
    *("--network_def::features=[4,4,8]", "--network_def::norm=instance", "--num_workers=0"),
    "--checkpoint_interval=2",
)


@pytest.fixture(scope="module")
def seven_cases(tmp_path_factory):
    """Four cases to train on and three to validate, and the file of that split."""
    root = tmp_path_factory.mktemp("seven")
    write_cohort(root / "cases", 7, shape=(32, 30, 28), seed=1)
    names = sorted(path.name for path in (root / "cases").iterdir() if path.is_dir())
    split = root / "split.json"
    split.write_text(json.dumps({"train": names[:4], "validation": names[4:]}))
    return root


def bundle(processes: int, *arguments: object, **variables: str) -> None:
    command = [sys.executable, "-m"]
    if processes > 1:
        command += ["torch.distributed.run", "--standalone", f"--nproc_per_node={processes}", "-m"]
    command += ["monai.bundle", "run", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | variables
    ended = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, check=False, env=environment, timeout=550
    )
    assert ended.returncode == 0, ended.stderr[-3000:]


def train(root: Path, processes: int, batch_size: int) -> Path:
    run = root / f"run{processes}"
    bundle(
        processes,
        *("--config_file", "bundles/unet3d/configs/train.yaml", "--bundle_root", "bundles/unet3d"),
        *("--dataset_dir", root / "cases", "--split_file", root / "split.json"),
        *("--output_dir", run, f"--batch_size={batch_size}", *SETTINGS),
    )
    return run


@pytest.fixture(scope="module")
def alone(seven_cases):
    return train(seven_cases, 1, 2)


@pytest.fixture(scope="module")
def together(seven_cases):
    return train(seven_cases, 2, 1)


def test_two_ranks_give_the_losses_of_one_with_twice_the_batch(alone, together):
    first, second = curve(alone, "loss/total"), curve(together, "loss/total")
    assert list(first) == list(second) == [1, 2, 3, 4]
    assert list(second.values()) == pytest.approx(list(first.values()), rel=1e-6)
    assert len(set(first.values())) == 4


def test_three_cases_on_two_ranks_are_each_validated_once(alone, together):
    for region in ("TC", "WT", "ET"):
        first, second = curve(alone, f"dice/{region}"), curve(together, f"dice/{region}")
        assert list(second.values()) == pytest.approx(list(first.values()), abs=1e-4)


def test_two_ranks_go_on_as_if_they_had_never_stopped(seven_cases, together, tmp_path):
    run = Path(shutil.copytree(together, tmp_path / "run"))
    shutil.rmtree(run / "checkpoints/00000004")
    bundle(
        2,
        *("--config_file", run / "configs/train.yaml", "--bundle_root", run, "--output_dir", run),
        *("--dataset_dir", seven_cases / "cases", "--resume", "true"),
    )
    weights = "checkpoints/00000004/network.safetensors"
    assert (run / weights).read_bytes() == (together / weights).read_bytes()


def test_two_ranks_evaluate_each_case_once_into_one_table(seven_cases, together):
    bundle(
        2,
        *("evaluate", "--config_file", together / "configs/train.yaml"),
        *("--bundle_root", together, "--dataset_dir", seven_cases / "cases"),
    )
    lines = (together / "evaluation/scores.csv").read_text().splitlines()
    cases = [line.split(",")[0] for line in lines[1:]]
    validated = json.loads((seven_cases / "split.json").read_text())["validation"]
    assert sorted(set(cases)) == validated
    assert len(cases) == len(set(lines[1:])) == 9


def test_two_ranks_segment_each_case_once_as_one_task_of_slurm(seven_cases, together, tmp_path):
    bundle(
        2,
        *("--config_file", together / "configs/inference.yaml", "--bundle_root", together),
        *("--dataset_dir", seven_cases / "cases", "--output_dir", tmp_path / "out"),
        SLURM_JOB_ID="1",
        SLURM_PROCID="0",
        SLURM_LOCALID="0",
        SLURM_NTASKS="1",
        SLURM_JOB_NODELIST="localhost",
        SLURM_JOB_NUM_NODES="2",
    )
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 7
