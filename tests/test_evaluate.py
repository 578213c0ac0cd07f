import json

import nibabel as nib
import numpy as np
import pytest

from pipeline.evaluation import Evaluation


@pytest.fixture
def predictions(cohort, tmp_path):
    """The references themselves, but the first is empty."""
    for index, case in enumerate(sorted(cohort.iterdir())):
        label = nib.load(case / f"{case.name}-seg.nii.gz")
        labels = np.asarray(label.dataobj) * (index > 0)
        image = nib.Nifti1Image(labels.astype(np.uint8), label.affine)
        nib.save(image, tmp_path / f"{case.name}.nii.gz")
    return tmp_path


def test_rule_and_tolerance_are_those_of_the_command(unet_bundles, predictions, cohort):
    status, out, err = unet_bundles(
        *("evaluate", "--predictions", predictions, "--references", cohort, "--json"),
        *("--empty", "skip", "--tolerance", "2.5", "--labels", "brats2023"),
    )
    assert status == 0, err
    assert "predictions have no run.json: they are read as brats2023" in err
    content = json.loads(out)
    assert (content["empty_rule"], content["tolerance_mm"]) == ("skip", 2.5)
    assert content["rows_skipped"] == 3
    assert content["rows"][0]["hd95_mm"] is None
    assert content["summary"]["WT"]["dice"]["mean"] == 1


def test_the_rule_is_printed_under_the_table(unet_bundles, predictions, cohort):
    arguments = ("--predictions", predictions, "--references", cohort, "--labels", "brats2023")
    status, out, _ = unet_bundles("evaluate", *arguments)
    assert status == 0
    assert "empty regions (brats): 1 and 0 mm" in " ".join(out.split())


def test_the_json_file_is_read_back(unet_bundles, predictions, cohort):
    scores = predictions / "scores.json"
    arguments = ("--predictions", predictions, "--references", cohort, "--labels", "brats2023")
    status, _, _ = unet_bundles("evaluate", *arguments, "--output", scores)
    assert status == 0
    evaluation = Evaluation.read(scores)
    assert len(evaluation.rows) == 9
    assert {row.dice for row in evaluation.rows[:3]} == {0.0}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--tolerance", "-1"], "tolerance of -1 mm"), (["--empty", "zero"], "zero")],
)
def test_a_rule_or_tolerance_that_makes_no_sense_is_refused(
    unet_bundles, predictions, cohort, arguments, words
):
    status, _, err = unet_bundles(
        "evaluate", "--predictions", predictions, "--references", cohort, *arguments
    )
    assert status == 2
    assert words in err


def test_a_folder_of_predictions_that_is_not_there_is_told_first(unet_bundles, cohort, tmp_path):
    arguments = ("--predictions", tmp_path / "nope", "--references", cohort)
    status, _, err = unet_bundles("evaluate", *arguments)
    assert status == 2
    assert "nope: name the one that holds predictions" in " ".join(err.split())


def test_no_thread_at_all_is_refused(unet_bundles, predictions, cohort):
    arguments = ("--predictions", predictions, "--references", cohort, "--threads", "0")
    status, _, err = unet_bundles("evaluate", *arguments)
    assert status == 2
    assert "--threads 0 leaves no thread: give 1 or more" in err


def test_a_convention_that_the_record_contradicts_is_refused(unet_bundles, run, cohort, tmp_path):
    unet_bundles("segment", run, "--images", cohort, "--output", tmp_path)
    arguments = ("--predictions", tmp_path, "--references", cohort)
    status, _, err = unet_bundles("evaluate", *arguments, "--prediction-labels", "brats2018")
    assert status == 2
    assert "says brats2023: leave --prediction-labels out" in err


@pytest.fixture
def references(cohort, tmp_path_factory):
    """Labels in one folder, which tells no convention, as BraTS 2018 writes them."""
    folder = tmp_path_factory.mktemp("references")
    for case in cohort.iterdir():
        label = nib.load(case / f"{case.name}-seg.nii.gz")
        values = np.asarray(label.dataobj)
        image = nib.Nifti1Image(np.where(values == 3, 4, values).astype(np.uint8), label.affine)
        nib.save(image, folder / f"{case.name}.nii.gz")
    return folder


def test_a_damaged_reference_fails_alone_where_values_tell_the_convention(unet_bundles, references):
    first, *others = sorted(references.iterdir())
    first.write_bytes(first.read_bytes()[:100])
    arguments = ("--predictions", references, "--references", references, "--json")
    status, out, err = unet_bundles("evaluate", *arguments, "--bundle", "unet3d")
    assert status == 1
    assert f"failed: {first.name.removesuffix('.nii.gz')}: " in err
    assert {row["dice"] for row in json.loads(out)["rows"]} == {1.0}
    assert len(json.loads(out)["rows"]) == 3 * len(others)


def test_predictions_of_others_are_read_by_the_convention_that_is_asked_for(
    unet_bundles, references, cohort
):
    arguments = ("--predictions", references, "--references", cohort, "--json")
    status, _, err = unet_bundles("evaluate", *arguments)
    assert status == 1
    assert "name the convention that it follows (--prediction-labels)" in err
    status, out, err = unet_bundles("evaluate", *arguments, "--prediction-labels", "brats2018")
    assert (status, err.count("run.json")) == (0, 0)
    assert {row["dice"] for row in json.loads(out)["rows"]} == {1.0}


def test_a_table_that_cannot_be_written_is_told_before_cases_are_scored(unet_bundles, predictions):
    (predictions / "file").write_text("")
    arguments = ("--predictions", predictions, "--references", predictions / "nope")
    status, _, err = unet_bundles("evaluate", *arguments, "--output", predictions / "file/a.csv")
    assert status == 2
    assert f"cannot write {predictions / 'file'} (Not a directory)" in err


@pytest.mark.parametrize("record", ["[]", '{"task": null, "labels": "brats2023"}', "{}"])
def test_a_damaged_record_is_told(unet_bundles, predictions, cohort, record):
    (predictions / "run.json").write_text(record)
    arguments = ("--predictions", predictions, "--references", cohort)
    status, _, err = unet_bundles("evaluate", *arguments)
    assert status == 2
    assert f"{predictions / 'run.json'} is damaged: remove it and name the bundle" in err
