"""Commands that bring the modalities of a case onto one grid."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from tests.conftest import TINY


@pytest.fixture
def cases(cohort, tmp_path) -> Path:
    """Copies of the phantoms, whose T2 has every second slice."""
    root = Path(shutil.copytree(cohort, tmp_path / "cases"))
    for case in root.iterdir():
        path = case / f"{case.name}-t2w.nii.gz"
        image = nib.load(path)
        affine = image.affine @ np.diag([1, 1, 2, 1])
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[..., ::2], affine), path)
    return root


@pytest.mark.parametrize(
    ("option", "how"), [(["--align"], "grid"), (["--align", "rigid"], "rigid")]
)
def test_segment_aligns_as_it_is_asked(unet_bundles, run, cases, tmp_path, option, how):
    case = min(cases.iterdir())
    status, _, err = unet_bundles(
        "segment", run, "--images", case, "--output", tmp_path / "out", *option
    )
    assert status == 0, err
    report = json.loads((tmp_path / "out" / "alignment" / f"{case.name}.json").read_text())
    assert report["how"] == how
    assert report["moved"]["t2"]["resampled"]
    assert (report["moved"]["t2"]["similarity_after"] is None) == (how == "grid")


def test_a_run_aligns_what_trains_it(unet_bundles, cases, tmp_path):
    arguments = ("train", "unet3d", "--data", cases, "--output", tmp_path / "run")
    status, _, err = unet_bundles(*arguments, "--set", *TINY)
    assert status == 2
    assert "segment and train with --align" in err
    status, _, err = unet_bundles(*arguments, "--align", "--set", *TINY)
    assert status == 0, err
    config = yaml.safe_load((tmp_path / "run" / "configs" / "train.yaml").read_text())
    assert config["cohort"]["align"] == "grid"
