"""The command on a GPU."""

import json

import nibabel as nib
import pytest
import torch

from tests.conftest import TINY

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
]


def test_a_card_trains_and_segments(unet_bundles, cohort, tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.max_memory_allocated()
    status, _, err = unet_bundles(
        *("train", "unet3d", "--data", cohort, "--output", run, "--device", "cuda:0"),
        *("--set", *TINY),
    )
    assert status == 0, err
    assert torch.cuda.max_memory_allocated() > before
    status, _, err = unet_bundles(
        "segment", run, "--images", cohort, "--output", out, "--device", "cuda:0"
    )
    assert status == 0, err
    assert json.loads((out / "run.json").read_text())["device"].startswith("cuda:0 (")
    for case in cohort.iterdir():
        image = nib.load(case / f"{case.name}-t2f.nii.gz")
        assert nib.load(out / f"{case.name}.nii.gz").shape == image.shape
