import numpy as np
import pytest
import torch

from pipeline.inference.codes import Rules, cleaned, coded, painted
from pipeline.tasks import Task
from pipeline.transforms import Restore, paint, preprocessing

BRATS = Task(("flair",), regions=("TC", "WT", "ET"))
HEART = Task(("ct",), classes=("background", "left", "right"))


def test_a_voxel_of_two_regions_has_the_bits_of_both():
    probabilities = np.array([[0.5], [0.9], [0.1]], np.float32)

    assert coded(probabilities, BRATS).tolist() == [0b011]


def test_the_code_of_classes_is_the_most_probable_one():
    probabilities = np.array([[0.2, 0.6], [0.3, 0.1], [0.5, 0.3]], np.float32)

    assert coded(probabilities, HEART).tolist() == [2, 0]


def test_the_enhancing_tumour_is_painted_last():
    codes = np.array([0b000, 0b010, 0b011, 0b111, 0b100], np.uint8)

    assert painted(codes, BRATS, "brats2018").tolist() == [0, 2, 1, 4, 4]


def test_a_target_of_too_few_voxels_becomes_empty():
    codes = np.array([1, 1, 2], np.uint8)

    assert cleaned(codes, HEART, Rules(smallest={"left": 3})).tolist() == [0, 0, 2]


@pytest.mark.parametrize("task", [BRATS, HEART], ids=["regions", "classes"])
@pytest.mark.parametrize("which", ["nothing", "smallest", "largest", "both"])
def test_codes_become_the_labels_that_the_transform_makes(task, which):
    target = task.targets[1]
    rules = Rules(
        {task.targets[0]: 900} if which in ("smallest", "both") else {},
        target if which in ("largest", "both") else None,
    )
    draws = np.random.default_rng(3)
    probabilities = draws.random((task.out_channels, 12, 13, 14), np.float32)
    convention = task.conventions[0]
    steps = preprocessing({"spacing": None}, task)
    restore = Restore(task, steps, dict(rules.smallest), rules.largest)

    theirs = paint(restore.targets(torch.from_numpy(probabilities)), task, convention)
    ours = painted(cleaned(coded(probabilities, task), task, rules), task, convention)

    np.testing.assert_array_equal(ours, theirs.numpy())
    assert ours.any()
