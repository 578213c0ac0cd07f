"""Cohorts of the Medical Segmentation Decathlon."""

import json

import pytest

from pipeline.data.cohorts import find_cohort, find_labels
from pipeline.errors import UserError
from pipeline.tasks import Task
from tests.data.test_cohorts import GLIOMA, touch


def write_msd(root, **content):
    content = {
        "modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"},
        "training": [{"image": "./imagesTr/B_1.nii.gz", "label": "./labelsTr/B_1.nii.gz"}],
    } | content
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("modality", "channels"),
    [
        ({"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"}, (0, 1, 2, 3)),
        ({"0": "T2w", "1": "T1gd", "2": "T1w", "3": "FLAIR"}, (3, 2, 1, 0)),
        ({"3": "FLAIR", "0": "T1w", "2": "T2w", "1": "T1gd"}, (3, 0, 1, 2)),
    ],
)
def test_msd_channels_are_picked_by_name(tmp_path, modality, channels):
    write_msd(tmp_path, modality=modality)
    cohort = find_cohort(tmp_path, GLIOMA)
    assert cohort.convention == "msd_brats"
    (case,) = cohort.cases
    assert case.name == "B_1"
    path = tmp_path / "imagesTr" / "B_1.nii.gz"
    assert case.images == tuple((path, channel) for channel in channels)
    assert case.label == tmp_path / "labelsTr" / "B_1.nii.gz"


TASK01 = {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"}
SWAPPED = {"0": "background", "1": "necrotic and non-enhancing core", "2": "peritumoral edema"}


@pytest.mark.parametrize(
    ("labels", "convention"),
    [
        (TASK01, "msd_brats"),
        (SWAPPED | {"3": "enhancing tumor"}, "brats2023"),
        (SWAPPED | {"4": "enhancing tumor"}, "brats2018"),
        ({name: int(value) for value, name in TASK01.items()}, "msd_brats"),
        ({"0": "background", "1": "a", "2": "b", "3": "c"}, None),
        ({}, "msd_brats"),
        (None, "msd_brats"),
    ],
)
def test_names_of_labels_tell_the_convention(tmp_path, labels, convention):
    write_msd(tmp_path, labels=labels)
    assert find_cohort(tmp_path, GLIOMA).convention == convention


def test_an_msd_image_may_be_one_file_a_channel(tmp_path):
    files = [f"imagesTr/B_1_{channel}.nii.gz" for channel in range(2)]
    entry = {"image": files, "label": "labelsTr/B_1.nii.gz"}
    write_msd(tmp_path, modality={"0": "T2w", "1": "FLAIR"}, training=[entry])
    (case,) = find_cohort(tmp_path, Task(("flair", "t2"), regions=("WT",))).cases
    assert case.name == "B_1"
    assert case.images == ((tmp_path / files[1], None), (tmp_path / files[0], None))


def test_an_msd_case_with_too_few_files_is_refused_by_name(tmp_path):
    good = {"image": ["a_0.nii", "a_1.nii", "a_2.nii", "a_3.nii"], "label": "a.nii"}
    short = {"image": ["b_0.nii", "b_1.nii"], "label": "b.nii"}
    write_msd(tmp_path, training=[good, short])
    cohort = find_cohort(tmp_path, GLIOMA)
    assert [case.name for case in cohort.cases] == ["a"]
    assert "case b" in cohort.refused["b"]


def test_an_msd_image_of_one_modality_has_no_channels(tmp_path):
    write_msd(tmp_path, modality={"0": "CT"})
    cohort = find_cohort(tmp_path, Task(("ct",), classes=("background", "liver")))
    assert cohort.cases[0].images == ((tmp_path / "imagesTr" / "B_1.nii.gz", None),)
    assert cohort.convention == "classes"


def test_msd_test_images_are_cases_without_label(tmp_path):
    write_msd(tmp_path, test=["./imagesTs/B_2.nii.gz"])
    cohort = find_cohort(tmp_path, GLIOMA)
    assert [case.name for case in cohort.cases] == ["B_1", "B_2"]
    assert list(cohort.labelled) == ["B_1"]


def test_a_modality_that_msd_does_not_list_is_named(tmp_path):
    write_msd(tmp_path, modality={"0": "CT"})
    with pytest.raises(UserError, match=r"dataset\.json has no modality flair: it lists ct"):
        find_cohort(tmp_path, GLIOMA)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "repair it"),
        ("[]", 'no list "training"'),
        ('{"training": 3}', 'no list "training"'),
        ('{"training": ["a.nii.gz"], "test": 3}', 'no list "training"'),
        ('{"modality": ["FLAIR"], "training": ["a.nii.gz"]}', "names no channels"),
        ('{"modality": {"first": "FLAIR"}, "training": ["a.nii.gz"]}', "names no channels"),
        ('{"modality": {"0": 3}, "training": ["a.nii.gz"]}', "names no channels"),
        ('{"training": [{"label": "a.nii.gz"}]}', "has the entry"),
        ('{"training": [{"image": []}]}', "has the entry"),
        ('{"training": [{"image": "a.nii.gz", "label": 3}]}', "has the entry"),
        ('{"training": [3], "test": null}', "has the entry"),
    ],
)
def test_a_damaged_dataset_json_ends_in_a_sentence(tmp_path, content, sentence):
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(UserError, match=rf"dataset\.json.*{sentence}"):
        find_cohort(tmp_path, GLIOMA)


def test_channels_that_msd_numbers_from_one_are_taken_in_order(tmp_path):
    modality = {"1": "T2w", "2": "FLAIR", "3": "T1w", "4": "t1gd"}
    write_msd(tmp_path, modality=modality)
    (case,) = find_cohort(tmp_path, GLIOMA).cases
    assert [channel for _, channel in case.images] == [1, 2, 3, 0]


def test_cases_of_one_name_are_refused(tmp_path):
    entries = [{"image": f"p{n}/ct.nii.gz", "label": f"p{n}/seg.nii.gz"} for n in (1, 2)]
    other = {"image": "c/ct.nii.gz", "label": "c/c.nii.gz"}
    write_msd(tmp_path, modality={"0": "CT"}, training=[*entries, other])
    cohort = find_cohort(tmp_path, Task(("ct",), classes=("background", "liver")))
    assert [case.name for case in cohort.cases] == ["c"]
    assert "2 cases of" in cohort.refused["seg"]
    assert "p1" in cohort.refused["seg"]
    assert "p2" in cohort.refused["seg"]


def test_test_images_of_one_name_do_not_touch_the_labels(tmp_path):
    write_msd(tmp_path, test=[f"imagesTs/{number}/image.nii.gz" for number in (1, 2)])
    assert find_labels(tmp_path)[0].keys() == {"B_1"}
    assert "2 cases of" in find_cohort(tmp_path, GLIOMA).refused["image"]


def test_names_that_end_in_four_digits_are_no_channels_of_nnunet(tmp_path):
    names = [f"amos_{number:04}.nii.gz" for number in (0, 1, 12)]
    entries = [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names]
    write_msd(tmp_path, modality={"0": "CT"}, training=entries)
    touch(*(tmp_path / "imagesTr" / name for name in names))
    cohort = find_cohort(tmp_path, Task(("ct",), classes=("background", "liver")))
    assert [case.name for case in cohort.cases] == ["amos_0000", "amos_0001", "amos_0012"]
    assert cohort.layout == "decathlon"


def test_two_channels_of_one_modality_are_not_chosen_between(tmp_path):
    write_msd(tmp_path, modality={"0": "FLAIR", "1": "T1", "2": "T1w", "3": "T2"})
    with pytest.raises(UserError, match="names two channels that are t1: rename one"):
        find_cohort(tmp_path, GLIOMA)
