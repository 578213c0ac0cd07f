"""Two domains in one network: trained in turn, evaluated together, segmented one by one."""

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from monai.bundle import ConfigWorkflow
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipeline.cli import main
from tests.decathlon import write_decathlon

pytestmark = pytest.mark.filterwarnings(
    "ignore:parsing config_file:UserWarning",  # MONAI says that a config is code
)
TINY = (
    *("max_epochs=1", "val_interval=1", "batch_size=1", "num_workers=0"),
    *("network_def::features=[4,4,8]", "domains::brats::pools=2", "domains::brats::spacing=null"),
    *("domains::brats::patch_size=[16,16,16]", "domains::hippocampus::pools=1"),
    *("domains::hippocampus::spacing=null", "domains::hippocampus::patch_size=[16,16,8]"),
)


@pytest.fixture(scope="module")
def cohorts(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cohort for each of the bundle's domains."""
    root = tmp_path_factory.mktemp("domains")
    (root / "brats").symlink_to(cohort)
    write_decathlon(root / "hippocampus", 3)
    return root


@pytest.fixture(scope="module")
def joint(cohorts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of both domains."""
    output = tmp_path_factory.mktemp("runs") / "joint"
    arguments = ["--data", str(cohorts), "--output", str(output), "--set", *TINY]
    with pytest.raises(SystemExit) as end:
        main(["train", "u2net", *arguments])
    assert end.value.code == 0
    return output


def steps(run: Path, curve: str) -> list[int]:
    events = EventAccumulator(str(run / "curves"))
    events.Reload()
    return [event.step for event in events.Scalars(curve)]


def test_domains_take_turns_and_each_has_its_loss(joint):
    assert steps(joint, "loss/dice") == [1, 3]
    assert steps(joint, "loss/lovasz") == [2, 4]
    assert steps(joint, "loss/total") == [1, 2, 3, 4]


def test_every_domain_has_its_scores_in_the_validation(joint):
    targets = ["brats/TC", "brats/WT", "brats/ET", "hippocampus/anterior", "hippocampus/posterior"]
    assert [steps(joint, f"dice/{target}") for target in targets] == 5 * [[4]]


def test_a_split_has_cases_of_every_domain(joint):
    split = json.loads((joint / "split.json").read_text())
    assert sum(name.startswith("s_") for name in split["validation"]) == 1
    assert (len(split["validation"]), len(split["train"])) == (2, 4)


def test_an_evaluation_scores_a_case_by_its_own_targets(joint, cohorts):
    workflow = ConfigWorkflow(
        str(joint / "configs/train.yaml"),
        logging_file=False,
        workflow_type="train",
        bundle_root=str(joint),
        dataset_dir=str(cohorts),
        run_id="evaluate",
    )
    workflow.initialize()
    workflow.run()
    with (joint / "evaluation/scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 + 2
    for row in rows:
        assert row["region"].startswith(
            "hippocampus/" if row["case"].startswith("s_") else "brats/"
        )


@pytest.mark.parametrize(
    ("arguments", "domain", "targets"),
    [
        ([], "brats", ["TC", "WT", "ET"]),
        (["--domain", "brats"], "brats", ["TC", "WT", "ET"]),
        (["--domain", "hippocampus"], "hippocampus", ["anterior", "posterior"]),
    ],
)
def test_each_domain_is_segmented_and_scored(
    unet_bundles, joint, cohorts, tmp_path, arguments, domain, targets
):
    images, out = cohorts / domain, tmp_path / "out"
    status, text, err = unet_bundles(
        "segment", joint, *arguments, "--images", images, "--output", out, "--json"
    )
    assert status == 0, err
    assert len(json.loads(text)["written"]) == 3
    status, text, err = unet_bundles(
        "evaluate", "--predictions", out, "--references", images, "--json"
    )
    assert status == 0, err
    assert list(json.loads(text)["summary"]) == targets


def test_inference_as_a_bundle_is_of_the_domain_that_is_named(joint, cohorts, tmp_path):
    workflow = ConfigWorkflow(
        str(joint / "configs/inference.yaml"),
        logging_file=False,
        workflow_type="infer",
        bundle_root=str(joint),
        dataset_dir=str(cohorts / "hippocampus"),
        output_dir=str(tmp_path),
        domain="hippocampus",
    )
    workflow.initialize()
    workflow.run()
    assert sorted(path.name for path in tmp_path.glob("*.nii.gz")) == [
        f"s_{i}.nii.gz" for i in range(3)
    ]
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["task"]["classes"] == ["background", "anterior", "posterior"]


def test_an_unknown_domain_is_told_with_the_nearest(unet_bundles, joint, cohorts, tmp_path):
    status, _, err = unet_bundles(
        *("segment", joint, "--domain", "hipocampus", "--images", cohorts / "hippocampus"),
        *("--output", tmp_path),
    )
    assert status == 2
    assert err == ("unet-bundles: no domain 'hipocampus' in domains: did you mean hippocampus?\n")


HEART = (
    "domains::heart={task: {modalities: [mri], classes: [background, left, right]}, spacing: null, "
    "patch_size: [8, 8, 8], pools: 1}"
)


def test_a_domain_added_later_changes_nothing_but_itself(unet_bundles, joint, cohorts, tmp_path):
    heart, run = write_decathlon(tmp_path / "data", 2, "heart"), tmp_path / "run"
    status, _, err = unet_bundles(
        *("train", joint, "--data", heart, "--output", run, "--set", HEART, "domain=heart"),
        *("network_def::trained=heart", f"start_from={joint / 'models/model.safetensors'}"),
    )
    assert status == 0, err
    before = load_file(joint / "models/model.safetensors")
    after = load_file(run / "models/model.safetensors")
    assert {name for name in after if ".heart." in name} == after.keys() - before.keys()
    assert [name for name in before if not (before[name] == after[name]).all()] == []
    images = cohorts / "hippocampus"
    for bundle, out in ((joint, "a"), (run, "b")):
        status, _, err = unet_bundles(
            *("segment", bundle, "--domain", "hippocampus", "--images", images, "--probabilities"),
            *("--output", tmp_path / out),
        )
        assert status == 0, err
    files = sorted((tmp_path / "a").rglob("*.nii.gz"))
    assert len(files) == 3 * (1 + 3)
    for file in files:
        twin = tmp_path / "b" / file.relative_to(tmp_path / "a")
        assert np.array_equal(nib.load(file).dataobj, nib.load(twin).dataobj)


def test_a_frozen_domain_is_not_trained(unet_bundles, joint, cohorts, tmp_path):
    status, _, err = unet_bundles(
        *("train", joint, "--data", cohorts, "--output", tmp_path / "run"),
        *("--set", "network_def::trained=hippocampus"),
    )
    assert status == 2
    assert "give the cases of hippocampus alone, and set domain=hippocampus" in err


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("domains::brats::patch_size=[16,16,10]", "domain brats does not fit its 2 pools"),
        ("domains::brats::patchsize=[16,16,16]", "did you mean patch_size?"),
        ("domain=brain", "no domain 'brain' in domains: did you mean brats?"),
        ("patch_size=[32,32,32]", "has its own: set domains::brats::patch_size"),
        ("spacing=[2,2,2]", "has its own: set domains::brats::spacing"),
        ("recipe::spacing=[2,2,2]", "has its own: set domains::brats::spacing"),
        ("task={modalities: [a], classes: [b, c]}", "has its own: set domains::brats::task"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused(
    unet_bundles, joint, cohorts, tmp_path, setting, told
):
    status, _, err = unet_bundles(
        "train", joint, "--data", cohorts, "--output", tmp_path / "run", "--set", setting
    )
    assert status == 2
    assert told in err
