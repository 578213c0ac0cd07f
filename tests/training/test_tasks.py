"""The task is data: one key makes a bundle another."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np

from tests.conftest import TINY
from tests.decathlon import write_decathlon


def test_one_key_makes_the_bundle_segment_exclusive_classes(unet_bundles, tmp_path):
    decathlon = write_decathlon(tmp_path / "Task99", 2)
    task = "task={modalities: [MRI], classes: [background, lower, upper]}"
    status, _, err = unet_bundles(
        *("train", "unet3d", "--data", decathlon, "--output", tmp_path / "run"),
        *("--set", *TINY, task, "optimizer::lr=0.01", "max_epochs=40", "val_interval=40"),
        *("augmentation::probability=0", "augmentation::flip=0"),
    )
    assert status == 0, err
    metadata = json.loads((tmp_path / "run/configs/metadata.json").read_text())
    formats = metadata["network_data_format"]
    assert formats["inputs"]["image"]["channel_def"] == {"0": "MRI"}
    assert formats["outputs"]["pred"]["num_channels"] == 3
    out = tmp_path / "out"
    assert unet_bundles("segment", tmp_path / "run", "--images", decathlon, "--output", out)[0] == 0
    status, text, _ = unet_bundles(
        "evaluate", "--predictions", out, "--references", decathlon, "--json"
    )
    summary = json.loads(text)["summary"]
    assert status == 0
    assert list(summary) == ["lower", "upper"]
    assert min(region["dice"]["mean"] for region in summary.values()) > 0.5


def test_a_network_of_monai_trains_and_segments(unet_bundles, cohort, tmp_path):
    network = (
        "network_def={_target_: SegResNet, spatial_dims: 3, in_channels: 4, out_channels: 3, "
        "init_filters: 4, blocks_down: [1, 1], blocks_up: [1], norm: instance}"
    )
    settings = [setting for setting in TINY if not setting.startswith("network_def")]
    run, out = tmp_path / "run", tmp_path / "out"
    status, _, err = unet_bundles(
        *("train", "unet3d", "--data", cohort, "--output", run, "--set", *settings, network)
    )
    assert status == 0, err
    assert unet_bundles("segment", run, "--images", cohort, "--output", out)[0] == 0
    assert len(list(out.glob("*.nii.gz"))) == 3


def test_a_cohort_with_a_value_of_its_own_is_a_task_of_classes(unet_bundles, cohort, tmp_path):
    cases = Path(shutil.copytree(cohort, tmp_path / "cases"))
    for path in cases.glob("*/*-seg.nii.gz"):
        label = nib.load(path)
        values = np.asarray(label.dataobj).copy()
        values[:2, :2, :2] = 4
        nib.save(nib.Nifti1Image(values, label.affine), path)
    arguments = ("train", "unet3d", "--data", cases, "--output", tmp_path / "run", "--set", *TINY)
    status, _, err = unet_bundles(*arguments)
    assert (status, "label value 4" in err) == (2, True)
    classes = "classes: [background, core, oedema, enhancing, cavity]"
    status, _, err = unet_bundles(
        *arguments, f"task={{modalities: [flair, t1, t1c, t2], {classes}}}"
    )
    assert status == 0, err
