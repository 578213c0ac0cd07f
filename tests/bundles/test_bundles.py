"""Every bundle is complete, agrees with itself, is wired like the others, trains and segments."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import pytest
import torch
import yaml
from monai.bundle import ConfigParser, ConfigWorkflow
from safetensors.torch import load_file

from pipeline.bundles import WEIGHTS, Bundle, shipped
from pipeline.data.loaders import labelled
from pipeline.data.phantom import write_cohort
from pipeline.runs import check_scored
from tests.conftest import ROOT, TINY
from tests.shrunk import network_of, shrunk, widths

BUNDLES = list(shipped().values())
OF_ONE_DOMAIN = [bundle for bundle in BUNDLES if not bundle.config("train")["domains"]]
BORN_2D = [bundle for bundle in BUNDLES if bundle.config("train")["spatial_dims"] == 2]
MARKER = "# What every bundle does"
TRAIN_KEYS = (
    *("task", "domains", "domain", "spatial_dims", "spacing", "patch_size", "network_def"),
    *("batch_size", "sampling", "augmentation", "loss", "prepare_batch", "optimizer"),
    *("lr_schedule", "listeners", "inferer", "postprocessing", "find_unused_parameters"),
    *("max_epochs", "val_interval", "seed"),
)
INFERENCE_KEYS = (
    *("task", "domains", "domain", "spatial_dims", "spacing", "patch_size", "network_def"),
    *("inferer", "postprocessing"),
)
pytestmark = pytest.mark.filterwarnings(
    "ignore:parsing config_file:UserWarning",  # MONAI says that a config is code
)


def each(bundles: list[Bundle]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("bundle", bundles, ids=lambda bundle: bundle.name)


def halves(bundle: Bundle, workflow: str) -> tuple[dict[str, Any], str]:
    """What the bundle is, as values, and what every bundle does, as text."""
    above, marker, below = bundle.config_file(workflow).read_text().partition(MARKER)
    assert marker
    return yaml.safe_load(above), below


@each(BUNDLES)
@pytest.mark.parametrize("workflow", ["train", "inference"])
def test_has_the_properties_monai_asks_for(bundle, workflow, cohort, tmp_path):
    narrow = shrunk(bundle, tmp_path / bundle.name)
    running = ConfigWorkflow(
        str(narrow.config_file(workflow)),
        workflow_type={"train": "train", "inference": "infer"}[workflow],
        logging_file=False,
        dataset_dir=str(cohort),
        bundle_root=str(narrow.root),
        spacing=None,
    )
    running.initialize()
    assert running.check_properties() == []


@each(BUNDLES)
def test_says_what_it_is_by_the_same_keys_in_order(bundle):
    assert tuple(halves(bundle, "train")[0]) == TRAIN_KEYS
    assert tuple(halves(bundle, "inference")[0]) == INFERENCE_KEYS


@each(BUNDLES)
def test_trains_and_infers_with_the_same_values(bundle):
    train, inference = halves(bundle, "train")[0], halves(bundle, "inference")[0]
    assert {key: train[key] for key in INFERENCE_KEYS} == inference


@each(BUNDLES)
@pytest.mark.parametrize("workflow", ["train", "inference"])
def test_is_wired_like_the_others(bundle, workflow):
    assert halves(bundle, workflow)[1] == halves(BUNDLES[0], workflow)[1]


@each(BUNDLES)
def test_says_in_its_metadata_what_its_task_is(bundle):
    task, formats = bundle.task, bundle.metadata["network_data_format"]
    image, pred = formats["inputs"]["image"], formats["outputs"]["pred"]
    assert tuple(image["channel_def"].values()) == task.modalities
    assert tuple(pred["channel_def"].values()) == (task.regions or task.classes)
    assert image["num_channels"] == task.in_channels
    assert pred["num_channels"] == task.out_channels


@each(BUNDLES)
def test_the_size_in_its_metadata_suits_its_network(bundle):
    formats = bundle.metadata["network_data_format"]
    shape = formats["inputs"]["image"]["spatial_shape"]
    assert shape == formats["outputs"]["pred"]["spatial_shape"]
    assert len(shape) == bundle.config("train")["spatial_dims"]
    with torch.device("meta"):
        network = network_of(bundle)
    for expression in shape:
        size, times_n = expression.split("*")
        assert times_n == "n"
        assert int(size) % network.divisor == 0
        assert int(size) >= network.smallest


@each(BUNDLES)
def test_its_network_takes_its_patch_in_training(bundle):
    config = ConfigParser(bundle.config("train"))
    size = config.get_parsed_content("patch_size")
    with torch.device("meta"):
        network = network_of(bundle)
    assert all(voxels % network.divisor == 0 for voxels in size)
    assert min(size) >= network.smallest


@each(BUNDLES)
def test_has_a_model_card_that_says_it_is_no_medical_device(bundle):
    assert "not a medical device" in (bundle.root / "docs/README.md").read_text()
    assert (bundle.root / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


@pytest.fixture(scope="module")
def two_cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom to train on and one to validate on."""
    root = tmp_path_factory.mktemp("two")
    write_cohort(root, 2, shape=(36, 32, 24), seed=0)
    return root


@each(OF_ONE_DOMAIN)
def test_a_tiny_training_runs_and_segments(bundle, two_cases, tmp_path, unet_bundles):
    run, predictions = tmp_path / "run", tmp_path / "predictions"
    size = [32] * bundle.config("train")["spatial_dims"]
    tiny = ("max_epochs=1", "val_interval=1", "spacing=null", "num_workers=0")
    tiny += (f"patch_size={size}", f"network_def::features={widths(bundle)}")
    status, _, errors = unet_bundles(
        *("train", bundle.name, "--data", two_cases, "--output", run, "--set", *tiny)
    )
    assert status == 0, errors
    status, _, errors = unet_bundles(
        *("segment", run, "--images", two_cases, "--output", predictions)
    )
    assert status == 0, errors
    shapes = {nib.load(path).shape for path in predictions.glob("*.nii.gz")}
    assert shapes == {(36, 32, 24)}


@each(BORN_2D)
def test_two_keys_alone_turn_slices_into_volumes(bundle):
    overrides = {"spatial_dims": 3, "patch_size": [96, 96, 96]}
    config = ConfigParser(bundle.config("train") | overrides)
    sampling = config.get_parsed_content("sampling").set_random_state(seed=0)
    volume = torch.rand(4, 100, 90, 96)
    samples = sampling({"image": volume, "label": (volume[:3] > 0.5).float()})
    assert {sample["image"].shape for sample in samples} == {(4, 96, 96, 96)}
    assert len(samples) * config.get_parsed_content("batch_size") <= 2
    with torch.device("meta"):
        network_of(bundle, **overrides)(torch.empty(2, 4, 96, 96, 96))
    doubled = config.get_parsed_content("inferer")(volume[None], lambda window: 2 * window)
    torch.testing.assert_close(doubled, 2 * volume[None])


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


def test_both_commands_train_alike(two_cases, tmp_path, unet_bundles):
    bundle = shipped()["fcn"]  # whose dropout draws too
    tiny = {"max_epochs": 1, "val_interval": 1, "spacing": None, "num_workers": 0}
    tiny |= {"patch_size": [32, 32], "network_def::features": widths(bundle)}
    settings = [f"{key}={'null' if value is None else value}" for key, value in tiny.items()]
    status, _, errors = unet_bundles(
        *("train", "fcn", "--data", two_cases, "--output", tmp_path / "a", "--set", *settings)
    )
    assert status == 0, errors
    workflow = ConfigWorkflow(
        str(bundle.config_file("train")),
        logging_file=False,
        workflow_type="train",
        bundle_root=str(bundle.root),
        dataset_dir=str(two_cases),
        output_dir=str(tmp_path / "b"),
        **tiny,
    )
    workflow.initialize()
    workflow.run()
    workflow.finalize()
    first, second = (load_file(tmp_path / run / WEIGHTS) for run in "ab")
    assert all((first[name] == second[name]).all() for name in first)


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


def test_a_run_is_scored_on_no_other_cases_than_its_own(run, tmp_path):
    write_cohort(tmp_path / "others", 2, shape=(48, 45, 32), seed=1)
    ended = monai_bundle(
        *("evaluate", "--config_file", run / "configs/train.yaml", "--bundle_root", run),
        *("--dataset_dir", tmp_path / "others"),
    )
    assert ended.returncode == 1
    assert f"{run / 'split.json'} names the case 'phantom-002'" in ended.stderr.splitlines()[-1]
    assert "unet-bundles evaluate" in ended.stderr.splitlines()[-1]
    assert not (run / "evaluation").exists()


def test_a_run_is_scored_on_other_cases_where_a_split_names_them(run, tmp_path):
    write_cohort(tmp_path, 2, shape=(48, 45, 32), seed=1)
    cohort = labelled(str(tmp_path), Bundle(run).config("train")["task"])
    with pytest.raises(SystemExit, match="is not the data of the run"):
        check_scored(str(run), cohort, None)
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": [], "validation": ["phantom-000"]}))
    check_scored(str(run), cohort, str(split))
    split.write_text(json.dumps({"train": [], "validation": ["phantom-7"]}))
    with pytest.raises(SystemExit, match="names the case 'phantom-7', not in the data"):
        check_scored(str(run), cohort, str(split))


def test_weights_without_a_split_are_scored_on_no_drawn_one(run, cohort, tmp_path):
    packed = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("split.json"))
    cases = labelled(str(cohort), Bundle(run).config("train")["task"])
    with pytest.raises(SystemExit, match=r"no .*split\.json names the cases .*--split_file"):
        check_scored(str(packed), cases, None)
