"""The trained bundles segment cases that they never saw."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from pipeline.bundles import find_bundle
from pipeline.data.cohorts import find_cohort
from pipeline.inference import Segmenter
from tests.conftest import ROOT

HIPPOCAMPUS = ROOT / "bundles" / "trained" / "hippocampus"


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter(find_bundle(str(HIPPOCAMPUS)), device="cpu", backend="eager")


def test_weights_are_small_and_come_with_a_card_that_says_their_licence():
    assert (HIPPOCAMPUS / "models" / "model.safetensors").stat().st_size < 20e6
    card = (HIPPOCAMPUS / "docs" / "README.md").read_text()
    assert "CC-BY-SA 4.0" in card
    assert "not a medical device" in card


def test_a_volume_gets_labels_on_its_grid(segmenter, tmp_path):
    image = np.random.default_rng(0).normal(100, 10, (33, 47, 38)).astype(np.float32)
    (tmp_path / "a").mkdir()
    nib.Nifti1Image(image, np.eye(4)).to_filename(tmp_path / "a" / "mri.nii.gz")
    (case,) = find_cohort(tmp_path, segmenter.task).cases
    labels = segmenter(case, "classes")
    assert labels.shape == image.shape
    assert set(np.unique(labels.array)) <= {0, 1, 2}


@pytest.mark.real_data
def test_held_out_hippocampi_reach_the_dice_of_the_card(segmenter, real_data: Path):
    held_out = json.loads((HIPPOCAMPUS / "split.json").read_text())["validation"]
    cohort = find_cohort(real_data / "hippocampus", segmenter.task)
    scores = []
    for case in cohort.cases:
        if case.name in held_out:
            truth = np.asarray(nib.load(case.label).dataobj)
            labels = segmenter(case, "classes").array
            for value in (1, 2):
                common = np.sum((labels == value) & (truth == value))
                scores.append(2 * common / (np.sum(labels == value) + np.sum(truth == value)))
    assert len(scores) == 2 * 42
    assert np.mean(scores) >= 0.87
