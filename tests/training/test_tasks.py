"""The task is data: one key makes a bundle another."""

import json

import nibabel as nib
import numpy as np
import pytest

from tests.conftest import TINY


@pytest.fixture
def decathlon(tmp_path):
    """Two cases of one modality and two structures, the second above the first."""
    root = tmp_path / "Task99"
    entries = []
    for i in range(2):
        label = np.zeros((20, 18, 22), np.uint8)
        label[6:14, 5:12, 4 + i : 10] = 1
        label[6:14, 5:12, 12 : 18 - i] = 2
        noise = np.random.default_rng(i).normal(100, 5, label.shape)
        names = {"image": f"imagesTr/s_{i}.nii.gz", "label": f"labelsTr/s_{i}.nii.gz"}
        for key, array in (("image", noise + 60 * label), ("label", label)):
            (root / names[key]).parent.mkdir(parents=True, exist_ok=True)
            image = nib.Nifti1Image(array.astype(np.int16), np.diag([1, 1.5, 1, 1]))
            nib.save(image, root / names[key])
        entries.append({key: f"./{name}" for key, name in names.items()})
    content = {"modality": {"0": "MRI"}, "training": entries}
    (root / "dataset.json").write_text(json.dumps(content))
    return root


def test_one_key_makes_the_bundle_segment_exclusive_classes(unet_bundles, decathlon, tmp_path):
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
