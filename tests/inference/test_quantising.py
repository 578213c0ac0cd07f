import json
import subprocess
import sys

import numpy as np
import pytest

from pipeline.data.cases import Case
from pipeline.data.volumes import read_volume
from pipeline.inference.quantising import LARGEST_LOSS, shares
from tests.inference.quantisable import write_bundle, write_cases

WITHOUT = """
import sys
sys.modules["nncf"] = None
from pathlib import Path
from pipeline.bundles import find_bundle
from pipeline.data.cohorts import find_cohort
from pipeline.inference.segmentation import Segmenter

segmenter = Segmenter(find_bundle(sys.argv[1]), backend="openvino-int8")
case = find_cohort(Path(sys.argv[2]), segmenter.task).cases[0]
print(int(segmenter(case).array.sum()), "torch" in sys.modules, "monai" in sys.modules)
"""


@pytest.fixture
def kept_in(tmp_path, monkeypatch):
    """The folder of the cache."""
    monkeypatch.setenv("UNET_BUNDLES_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def cases(tmp_path):
    return write_cases(tmp_path / "cases", 3)


@pytest.fixture
def robust(kept_in):
    """A bundle of which 8 bits leave all."""
    return write_bundle(kept_in.parent / "robust", flair_weight=1)


@pytest.fixture
def delicate(kept_in):
    """A bundle with the weights 1000 and 1 side by side: of 8 bits none is left for the 1."""
    return write_bundle(kept_in.parent / "delicate", flair_weight=1000)


def reports(folder):
    """What is said of the networks of 8 bits that are kept."""
    return [json.loads(path.read_text()) for path in folder.glob("openvino-int8-*/report.json")]


def test_what_segments_as_before_is_kept_and_taken_by_segment(
    unet_bundles, robust, cases, kept_in, tmp_path
):
    status, out, err = unet_bundles("quantise", robust.root, "--data", cases, "--json")
    assert status == 0, err
    told = json.loads(out)
    assert told["kept"]
    assert told["dice"] == {"structure": {"before": 1.0, "after": 1.0}}
    (report,) = reports(kept_in)
    assert report["dice"] == told["dice"]
    assert (report["calibrated"], report["scored"]) == (["case0"], ["case1", "case2"])
    assert report["seconds_a_window"]["after"] > 0
    assert report["versions"]["nncf"]
    (network,) = kept_in.glob("openvino-int8-*/network.xml")
    assert network.read_text().count('type="FakeQuantize"') == 1  # before the first convolution

    how = ("--images", cases, "--output", tmp_path / "out", "--backend", "openvino-int8")
    status, _, err = unet_bundles("segment", robust.root, *how)
    assert status == 0, err
    for case in ("case0", "case1", "case2"):
        labels, truth = (
            read_volume(path).array
            for path in (tmp_path / "out" / f"{case}.nii.gz", cases / case / "seg.nii.gz")
        )
        np.testing.assert_array_equal(labels, truth)
    assert json.loads((tmp_path / "out" / "run.json").read_text())["backend"] == "openvino-int8"


def test_what_loses_dice_is_refused_and_nothing_is_kept(
    unet_bundles, delicate, cases, kept_in, tmp_path
):
    status, out, err = unet_bundles("quantise", delicate.root, "--data", cases)
    assert status == 2
    assert f"Dice of structure falls from 1.0000 to 0.0000, by more than {LARGEST_LOSS}" in err
    assert "-1.0000" in out
    assert not reports(kept_in)
    how = ("--images", cases, "--output", tmp_path / "out", "--backend", "openvino-int8")
    status, _, err = unet_bundles("segment", delicate.root, *how)
    assert status == 2
    assert f"unet-bundles quantise {delicate.root}" in err


def test_a_later_quantising_takes_the_place_of_an_earlier_one(unet_bundles, robust, cases, kept_in):
    for windows in (1, 3):
        arguments = ("--data", cases, "--calibration", windows)
        status, out, err = unet_bundles("quantise", robust.root, *arguments)
        assert status == 0, err
        assert f"calibrated on {windows} windows of 1 cases" in " ".join(out.split())
        assert [report["windows"] for report in reports(kept_in)] == [windows]


def test_what_is_kept_runs_without_nncf_torch_and_monai(unet_bundles, robust, cases):
    status, _, err = unet_bundles("quantise", robust.root, "--data", cases)
    assert status == 0, err
    command = [sys.executable, "-c", WITHOUT, str(robust.root), str(cases)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["384", "False", "False"], done.stderr  # 8 x 8 x 6 voxels


def test_cases_without_labels_are_not_enough(unet_bundles, robust, cases):
    for label in cases.glob("*/seg.nii.gz"):
        label.unlink()
    status, _, err = unet_bundles("quantise", robust.root, "--data", cases)
    assert status == 2
    assert "no case with a label" in err


def test_a_case_that_is_refused_is_told(unet_bundles, robust, cases):
    (image,) = cases.glob("case2/*t1.nii.gz")
    image.unlink()
    status, _, err = unet_bundles("quantise", robust.root, "--data", cases)
    assert status == 0, err
    assert "left out: case2: case case2 under" in err
    assert "has no t1 image" in err
    (cases / "case1/seg.nii.gz").unlink()
    _, _, err = unet_bundles("quantise", robust.root, "--data", cases)
    assert "left out: case1: no label" in err


def test_a_calibration_of_no_window_is_refused(unet_bundles, robust, cases):
    status, _, err = unet_bundles("quantise", robust.root, "--data", cases, "--calibration", 0)
    assert status == 2
    assert "give 1 or more windows" in err


def test_every_fourth_case_calibrates_and_the_others_are_scored():
    cases = [Case(name, ()) for name in "abcdefgh"]
    calibrating, scored = shares(cases)
    assert [case.name for case in calibrating] == ["a", "e"]
    assert [case.name for case in scored] == ["b", "c", "d", "f", "g", "h"]


def test_of_too_few_cases_all_are_scored():
    cases = [Case(name, ()) for name in "ab"]
    calibrating, scored = shares(cases)
    assert [case.name for case in calibrating] == ["a"]
    assert [case.name for case in scored] == ["a", "b"]
