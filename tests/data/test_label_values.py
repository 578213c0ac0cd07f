"""The values of a whole cohort tell the convention of its labels, or it is asked for."""

import nibabel as nib
import numpy as np
import pytest

from pipeline.data.cohorts import find_cohort
from pipeline.data.conventions import settled, told_by_values
from pipeline.errors import UserError
from pipeline.tasks import Task

TASK = Task(("flair",), regions=("WT",))


def write_labels(root, *cases, flair="flair"):
    for number, values in enumerate(cases):
        folder = root / f"case{number}"
        folder.mkdir()
        (folder / f"{flair}.nii").touch()
        array = np.zeros((4, 2, 2), np.int16)
        array.flat[: len(values)] = values
        nib.save(nib.Nifti1Image(array, np.eye(4)), folder / "seg.nii")
    return find_cohort(root, TASK)


def test_the_value_four_in_one_case_tells_the_convention_of_all(tmp_path):
    cohort = settled(write_labels(tmp_path, [1, 2], [0], [1, 2, 4]), TASK)
    assert cohort.convention == "brats2018"
    assert cohort.notes[-1] == "labels follow brats2018, told by their values"


@pytest.mark.parametrize(
    ("cases", "known"),
    [
        (([1, 2, 3],), "brats2023, msd_brats"),
        (([1], [2]), "brats2018, brats2023, msd_brats"),
    ],
)
def test_values_of_two_conventions_are_not_guessed(tmp_path, cases, known):
    with pytest.raises(UserError, match=rf"set labels to one of {known} \(--labels\)"):
        settled(write_labels(tmp_path, *cases), TASK)


def test_values_of_no_convention_are_an_error_that_names_the_file(tmp_path):
    with pytest.raises(UserError, match=r"case1/seg\.nii makes the label values .* 0, 3, 4"):
        settled(write_labels(tmp_path, [4], [3], [1]), TASK)


def test_a_label_that_cannot_be_used_says_nothing_about_the_others(tmp_path):
    cohort = write_labels(tmp_path, [1, 2], [7], [1, 2, 4])
    (tmp_path / "case0" / "seg.nii").write_bytes(b"no volume")
    labels = [case.label for case in cohort.cases]
    assert told_by_values(labels, TASK, tmp_path, each_its_own=True) == "brats2018"
    with pytest.raises(UserError, match=r"case0/seg\.nii"):  # a training needs all of them
        settled(cohort, TASK)


def test_where_no_label_can_be_used_the_first_is_named(tmp_path):
    labels = [case.label for case in write_labels(tmp_path, [7], [8]).cases]
    with pytest.raises(UserError, match=r"case0/seg\.nii holds the label value 7"):
        told_by_values(labels, TASK, tmp_path, each_its_own=True)


def test_what_is_asked_for_is_not_questioned(tmp_path):
    cohort = settled(write_labels(tmp_path, [1, 2, 3]), TASK, "msd_brats")
    assert cohort.convention == "msd_brats"
    assert cohort.notes[-1] == "labels follow msd_brats, as asked"


def test_classes_of_a_task_need_no_values(tmp_path):
    task = Task(("flair",), classes=("background", "a", "b"))
    write_labels(tmp_path, [1, 2])
    assert settled(find_cohort(tmp_path, task), task).convention == "classes"
