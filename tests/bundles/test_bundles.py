"""Every bundle is complete, agrees with itself, and is wired like the others."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from monai.bundle import ConfigWorkflow

from tests.conftest import ROOT, TINY

BUNDLES = sorted(path.parents[1] for path in (ROOT / "bundles").glob("*/configs/metadata.json"))
MARKER = "# What every bundle does"
TRAIN_KEYS = (
    *("task", "domains", "spatial_dims", "spacing", "patch_size", "network_def", "batch_size"),
    *("sampling", "augmentation", "loss", "prepare_batch", "optimizer", "lr_schedule"),
    *("listeners", "inferer", "postprocessing", "find_unused_parameters", "max_epochs"),
    *("val_interval", "seed"),
)
INFERENCE_KEYS = (
    *("task", "domains", "spatial_dims", "spacing", "patch_size", "network_def", "inferer"),
    "postprocessing",
)
pytestmark = pytest.mark.filterwarnings(
    "ignore:parsing config_file:UserWarning",  # MONAI says that a config is code
)
every_bundle = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)


def halves(bundle: Path, workflow: str) -> tuple[dict[str, Any], str]:
    """What the bundle is, as values, and what every bundle does, as text."""
    text = (bundle / "configs" / f"{workflow}.yaml").read_text()
    above, marker, below = text.partition(MARKER)
    assert marker
    return yaml.safe_load(above), below


@every_bundle
@pytest.mark.parametrize("kind", ["train", "infer"])
def test_has_the_properties_monai_asks_for(bundle, kind, cohort, run):
    name = {"train": "train.yaml", "infer": "inference.yaml"}[kind]
    network_def = yaml.safe_load((run / "configs" / name).read_text())["network_def"]
    overrides = {"network_def": network_def, "spacing": None, "patch_size": [16, 16, 16]}
    if kind == "infer":
        overrides["weights"] = str(run / "models/model.safetensors")
    workflow = ConfigWorkflow(
        str(bundle / "configs" / name),
        workflow_type=kind,
        logging_file=False,
        dataset_dir=str(cohort),
        bundle_root=str(bundle),
        **overrides,
    )
    workflow.initialize()
    assert workflow.check_properties() == []


@every_bundle
def test_says_what_it_is_by_the_same_keys_in_order(bundle):
    assert tuple(halves(bundle, "train")[0]) == TRAIN_KEYS
    assert tuple(halves(bundle, "inference")[0]) == INFERENCE_KEYS


@every_bundle
def test_trains_and_infers_with_the_same_values(bundle):
    train, inference = halves(bundle, "train")[0], halves(bundle, "inference")[0]
    assert {key: train[key] for key in INFERENCE_KEYS} == inference


@every_bundle
@pytest.mark.parametrize("workflow", ["train", "inference"])
def test_is_wired_like_the_others(bundle, workflow):
    assert halves(bundle, workflow)[1] == halves(BUNDLES[0], workflow)[1]


@every_bundle
def test_says_in_its_metadata_what_its_task_is(bundle):
    task = halves(bundle, "train")[0]["task"]
    formats = json.loads((bundle / "configs/metadata.json").read_text())["network_data_format"]
    channels = list(formats["inputs"]["image"]["channel_def"].values())
    targets = list(formats["outputs"]["pred"]["channel_def"].values())
    assert (channels, targets) == (task["modalities"], task.get("regions") or task["classes"])
    assert formats["inputs"]["image"]["num_channels"] == len(channels)
    assert formats["outputs"]["pred"]["num_channels"] == len(targets)


@every_bundle
def test_has_a_model_card_that_says_it_is_no_medical_device(bundle):
    assert "not a medical device" in (bundle / "docs/README.md").read_text()
    assert (bundle / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def monai_bundle(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "monai.bundle", "run", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def test_the_three_commands_run_as_a_user_types_them(cohort, tmp_path):
    run, predictions = tmp_path / "run", tmp_path / "predictions"
    overrides = [f"--{key}={value}" for key, _, value in (item.partition("=") for item in TINY)]
    overrides[overrides.index("--spacing=null")] = "--spacing=None"
    trained = monai_bundle(
        *("--config_file", "bundles/unet3d/configs/train.yaml", "--bundle_root", "bundles/unet3d"),
        *("--dataset_dir", cohort, "--output_dir", run, *overrides),
    )
    assert trained.returncode == 0, trained.stderr
    evaluated = monai_bundle(
        *("evaluate", "--config_file", run / "configs/train.yaml", "--bundle_root", run),
        *("--dataset_dir", cohort),
    )
    assert evaluated.returncode == 0, evaluated.stderr
    assert len((run / "evaluation/scores.csv").read_text().splitlines()) == 1 + 3
    segmented = monai_bundle(
        *("--config_file", run / "configs/inference.yaml", "--bundle_root", run),
        *("--dataset_dir", cohort, "--output_dir", predictions),
    )
    assert segmented.returncode == 0, segmented.stderr
    assert len(list(predictions.glob("*.nii.gz"))) == 3


@pytest.mark.parametrize("workflow", ["evaluate", "inference"])
def test_without_weights_one_sentence_gives_the_training_command(cohort, tmp_path, workflow):
    name = "inference" if workflow == "inference" else "train"
    ended = monai_bundle(
        *(["evaluate"] if workflow == "evaluate" else []),
        *("--config_file", f"bundles/unet3d/configs/{name}.yaml"),
        *("--bundle_root", "bundles/unet3d", "--dataset_dir", cohort, "--output_dir", tmp_path),
    )
    assert ended.returncode == 1
    assert "no weights at" in ended.stderr.splitlines()[-1]
    assert "train" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
