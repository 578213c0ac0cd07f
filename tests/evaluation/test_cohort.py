import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.evaluation import evaluate
from pipeline.tasks import Task

GLIOMA = Task(modalities=("flair",), regions=("TC", "WT", "ET"))
OBLIQUE = np.array([[0.8, -1.2, 0, 7], [0.6, 1.6, 0, -3], [0, 0, 3, 11], [0, 0, 0, 1]])
"""Voxels of 1 x 2 x 3 mm, turned about the third axis."""


def tumour(corner, *, enhancing=3):
    """Oedema (2) of 6x6x6 voxels, core (1) of 4x4x4 at its corner, enhancing tumour of 2x2x2."""
    labels = np.zeros((12, 12, 12), dtype=np.uint8)
    for size, value in ((6, 2), (4, 1), (2, enhancing)):
        labels[tuple(slice(start, start + size) for start in corner)] = value
    return labels


def save(path, labels, affine=OBLIQUE):
    path.parent.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(labels, affine), path)
    return path


@pytest.fixture
def cohort(tmp_path):
    """A folder of predictions, and two cases whose predictions are perfect."""
    references = [
        (case, save(tmp_path / "references" / f"{case}_seg.nii.gz", tumour(corner)))
        for case, corner in (("bob", (2, 2, 2)), ("ann", (4, 1, 3)))
    ]
    for case, reference in references:
        save(tmp_path / "predictions" / f"{case}.nii.gz", np.asarray(nib.load(reference).dataobj))
    return tmp_path / "predictions", references


def score(cohort, task=GLIOMA, conventions=("brats2023", "brats2023"), **options):
    return evaluate(*cohort, task, *conventions, **options)


def only_failure(evaluation, case):
    """The sentence of the one failure, which is that of ``case`` and spares the other case."""
    assert [failure.case for failure in evaluation.failures] == [case]
    assert {row.case for row in evaluation.rows} == {"ann", "bob"} - {case}
    return evaluation.failures[0].sentence


def test_rows_are_in_the_order_of_case_and_task(cohort):
    evaluation = score(cohort)
    assert [(row.case, row.region) for row in evaluation.rows] == [
        (case, region) for case in ("ann", "bob") for region in ("TC", "WT", "ET")
    ]
    assert {(row.dice, row.hd95_mm) for row in evaluation.rows} == {(1.0, 0.0)}
    assert evaluation.failures == ()


def test_spacing_is_that_of_the_file(cohort):
    predictions, _ = cohort
    save(predictions / "bob.nii.gz", tumour((2, 2, 4)))
    rows = {row.region: row for row in score(cohort).rows if row.case == "bob"}
    # Moved by two voxels of 3 mm along the third axis, where the regions have six, four and two.
    assert rows["WT"].dice == pytest.approx(4 / 6)
    assert rows["TC"].dice == pytest.approx(2 / 4)
    assert rows["ET"].dice == 0
    assert [row.hd95_mm for row in rows.values()] == pytest.approx([6.0, 6.0, 6.0])


def test_an_empty_prediction_has_scores(cohort):
    predictions, _ = cohort
    save(predictions / "bob.nii.gz", np.zeros((12, 12, 12), dtype=np.uint8))
    rows = [row for row in score(cohort).rows if row.case == "bob"]
    assert {(row.dice, row.hd95_mm) for row in rows} == {(0.0, 373.13)}


def test_each_side_follows_its_own_convention(cohort):
    predictions, _ = cohort
    save(predictions / "bob.nii.gz", tumour((2, 2, 2), enhancing=4))
    save(predictions / "ann.nii.gz", tumour((4, 1, 3), enhancing=4))
    evaluation = score(cohort, conventions=("brats2018", "brats2023"))
    assert {(row.dice, row.hd95_mm) for row in evaluation.rows} == {(1.0, 0.0)}


def test_exclusive_classes_are_scored_without_background(cohort):
    task = Task(modalities=("ct",), classes=("background", "liver", "lesion", "vessel"))
    evaluation = score(cohort, task, conventions=("classes", "classes"))
    assert [row.region for row in evaluation.rows[:3]] == ["liver", "lesion", "vessel"]


def test_an_uncompressed_prediction_is_found(cohort):
    predictions, _ = cohort
    (predictions / "bob.nii.gz").unlink()
    save(predictions / "bob.nii", tumour((2, 2, 2)))
    assert score(cohort).failures == ()


def test_a_missing_prediction_is_a_failure(cohort):
    predictions, _ = cohort
    (predictions / "bob.nii.gz").unlink()
    sentence = only_failure(score(cohort), "bob")
    assert "no prediction bob.nii.gz or bob.png" in sentence
    assert str(predictions) in sentence


def test_two_predictions_of_a_case_are_a_failure(cohort):
    predictions, _ = cohort
    save(predictions / "bob.nii", tumour((2, 2, 2)))
    assert "bob.nii.gz and bob.nii" in only_failure(score(cohort), "bob")


@pytest.mark.parametrize("side", ["prediction", "reference"])
def test_a_damaged_file_is_a_failure(cohort, side):
    predictions, references = cohort
    path = {"prediction": predictions / "bob.nii.gz", "reference": references[0][1]}[side]
    path.write_bytes(path.read_bytes()[:-20])
    assert str(path) in only_failure(score(cohort), "bob")


def test_another_shape_is_a_failure(cohort):
    predictions, references = cohort
    save(predictions / "bob.nii.gz", tumour((2, 2, 2))[:-1])
    sentence = only_failure(score(cohort), "bob")
    assert str(predictions / "bob.nii.gz") in sentence
    assert str(references[0][1]) in sentence
    assert "(11, 12, 12), not (12, 12, 12)" in sentence
    assert "resample" in sentence


def test_several_channels_are_a_failure(cohort):
    predictions, references = cohort
    for path in (predictions / "bob.nii.gz", references[0][1]):
        save(path, np.stack([tumour((2, 2, 2))] * 2, axis=-1))
    assert "(12, 12, 12, 2)" in only_failure(score(cohort), "bob")


def test_another_affine_is_a_failure(cohort):
    predictions, _ = cohort
    shifted = OBLIQUE.copy()
    shifted[0, 3] += 0.01
    save(predictions / "bob.nii.gz", tumour((2, 2, 2)), shifted)
    assert "affines differ" in only_failure(score(cohort), "bob")


def test_whole_numbers_may_be_stored_as_floats(cohort):
    predictions, _ = cohort
    save(predictions / "bob.nii.gz", tumour((2, 2, 2)).astype(np.float32))
    assert {(row.dice, row.hd95_mm) for row in score(cohort).rows} == {(1.0, 0.0)}


def test_a_fraction_is_an_unknown_value(cohort):
    predictions, _ = cohort
    save(predictions / "bob.nii.gz", tumour((2, 2, 2)).astype(np.float32) / 2)
    assert "holds the label value 0.5" in only_failure(score(cohort), "bob")


@pytest.mark.parametrize("side", ["prediction", "reference"])
def test_an_unknown_value_is_a_failure(cohort, side):
    predictions, references = cohort
    path = {"prediction": predictions / "bob.nii.gz", "reference": references[0][1]}[side]
    save(path, tumour((2, 2, 2), enhancing=4))
    sentence = only_failure(score(cohort), "bob")
    assert f"{path} holds the label value 4" in sentence
    assert "0, 1, 2, 3" in sentence


def test_every_case_is_reported_when_it_is_done(cohort):
    predictions, _ = cohort
    (predictions / "ann.nii.gz").unlink()
    done = []
    score(cohort, on_case=lambda outcome, case: done.append((outcome, case)))
    assert done == [("failed", "ann"), ("scored", "bob")]


def test_a_missing_folder_starts_nothing(cohort, tmp_path):
    with pytest.raises(UserError, match="no folder"):
        score((tmp_path / "elsewhere", cohort[1]))


@pytest.mark.parametrize("side", [0, 1])
def test_a_convention_of_another_task_starts_nothing(cohort, side):
    conventions = ["brats2023", "brats2023"]
    conventions[side] = "classes"
    with pytest.raises(UserError, match="classes"):
        score(cohort, conventions=conventions)


def test_the_rule_and_the_tolerance_reach_the_scores(cohort):
    predictions, _ = cohort
    save(predictions / "bob.nii.gz", tumour((2, 2, 3)))
    save(predictions / "ann.nii.gz", np.zeros((12, 12, 12), dtype=np.uint8))
    evaluation = score(cohort, empty_rule="nan", tolerance_mm=3.0)
    assert (evaluation.empty_rule, evaluation.tolerance_mm) == ("nan", 3.0)
    ann, bob = evaluation.rows[0], evaluation.rows[3]
    assert np.isnan(ann.hd95_mm)
    assert bob.nsd == 1  # moved by one voxel of 3 mm


def test_an_unknown_rule_or_a_negative_tolerance_starts_nothing(cohort):
    with pytest.raises(UserError, match="no rule zero"):
        score(cohort, empty_rule="zero")
    with pytest.raises(UserError, match="tolerance of -1 mm"):
        score(cohort, tolerance_mm=-1)


def test_evaluation_starts_without_torch():
    program = (
        "import sys, pipeline.evaluation; sys.exit(not {'torch', 'monai'}.isdisjoint(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
