"""The main job on real cases."""

import csv
import json

import nibabel as nib
import numpy as np
import pytest

from tests.bundles.test_bundles import monai_bundle

pytestmark = pytest.mark.real_data


@pytest.fixture
def two_brats_cases(real_data, tmp_path):
    """Links to two real BraTS cases."""
    root = tmp_path / "cases"
    root.mkdir()
    for case in sorted((real_data / "brats2018").iterdir())[:2]:
        (root / case.name).symlink_to(case.resolve())
    return root


def test_real_brats_cases_through_train_segment_and_evaluate(
    unet_bundles, two_brats_cases, tmp_path
):
    settings = ("max_epochs=3", "val_interval=3", "spacing=[3,3,3]", "patch_size=[32,32,32]")
    status, _, err = unet_bundles(
        *("train", "unet3d", "--data", two_brats_cases, "--output", tmp_path / "run", "--set"),
        *(*settings, "network_def::features=[4,8,16]", "num_workers=0"),
    )
    assert status == 0, err
    out = tmp_path / "out"
    assert (
        unet_bundles("segment", tmp_path / "run", "--images", two_brats_cases, "--output", out)[0]
        == 0
    )
    for case in two_brats_cases.iterdir():
        image = nib.load(case / f"{case.name}_flair.nii.gz")
        prediction = nib.load(out / f"{case.name}.nii.gz")
        assert prediction.shape == (240, 240, 155)
        np.testing.assert_array_equal(prediction.affine, image.affine)
        assert set(np.unique(prediction.dataobj)) <= {0, 1, 2, 4}
    scores = tmp_path / "scores.csv"
    status, _, _ = unet_bundles(
        "evaluate", "--predictions", out, "--references", two_brats_cases, "--output", scores
    )
    assert status == 0
    assert len(list(csv.DictReader(scores.open()))) == 2 * 3


def test_real_brats_cases_through_the_three_commands_of_monai(two_brats_cases, tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    settings = ("--max_epochs=2", "--val_interval=2", "--spacing=[2,2,2]", "--num_workers=0")
    settings += ("--patch_size=[64,64,64]", "--network_def::features=[4,8,16]")
    trained = monai_bundle(
        *("--config_file", "bundles/unet3d/configs/train.yaml", "--bundle_root", "bundles/unet3d"),
        *("--dataset_dir", two_brats_cases, "--output_dir", run, *settings),
    )
    assert trained.returncode == 0, trained.stderr
    evaluated = monai_bundle(
        *("evaluate", "--config_file", run / "configs/train.yaml", "--bundle_root", run),
        *("--dataset_dir", two_brats_cases),
    )
    assert evaluated.returncode == 0, evaluated.stderr
    (case,) = json.loads((run / "split.json").read_text())["validation"]
    rows = list(csv.DictReader((run / "evaluation/scores.csv").read_text().splitlines()))
    assert [(row["case"], row["region"]) for row in rows] == [
        (case, region) for region in ("TC", "WT", "ET")
    ]
    segmented = monai_bundle(
        *("--config_file", run / "configs/inference.yaml", "--bundle_root", run),
        *("--dataset_dir", two_brats_cases, "--output_dir", out),
    )
    assert segmented.returncode == 0, segmented.stderr
    for case in two_brats_cases.iterdir():
        image = nib.load(case / f"{case.name}_flair.nii.gz")
        prediction = nib.load(out / f"{case.name}.nii.gz")
        assert prediction.shape == (240, 240, 155)
        np.testing.assert_array_equal(prediction.affine, image.affine)


def test_the_same_bundle_trains_on_the_hippocampus(unet_bundles, real_data, tmp_path):
    split = {"train": ["hippocampus_003", "hippocampus_004"], "validation": ["hippocampus_006"]}
    (tmp_path / "split.json").write_text(json.dumps(split))
    task = "task={modalities: [MRI], classes: [background, anterior, posterior]}"
    status, out, err = unet_bundles(
        *("train", "unet3d", "--data", real_data / "hippocampus", "--output", tmp_path / "run"),
        *("--split", tmp_path / "split.json", "--json", "--set", task, "max_epochs=2"),
        *("val_interval=2", "patch_size=[32,32,32]", "network_def::features=[4,8,16]"),
        "num_workers=0",
    )
    assert status == 0, err
    assert json.loads(out) == {"run": str(tmp_path / "run")}


def test_a_case_of_another_challenge_and_orientation_is_segmented(
    unet_bundles, run, real_data, tmp_path
):
    images = real_data / "brats_unlabelled"
    status, out, err = unet_bundles(
        "segment", run, "--images", images, "--output", tmp_path, "--json"
    )
    assert status == 0, err
    (name,) = json.loads(out)["written"]
    assert set(np.unique(nib.load(tmp_path / f"{name}.nii.gz").dataobj)) <= {0, 1, 2, 3}
