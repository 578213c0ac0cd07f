"""Each layout is recognised by itself, and can be asked for."""

import json

import pytest

from pipeline.data.cohorts import find_cohort, find_labels
from pipeline.errors import UserError
from pipeline.tasks import Task
from tests.data.test_cohorts import BRATS2018, close, names_of, touch, write_case

TASK = Task(("flair", "t1c"), regions=("WT",))


def write_nnunet(root, folder="imagesTr", **content):
    content = {"channel_names": {"0": "T1ce", "1": "FLAIR"}, "file_ending": ".nii.gz"} | content
    touch(*(root / folder / f"case_7_000{channel}.nii.gz" for channel in (0, 1)))
    (root / "dataset.json").write_text(json.dumps(content))


def test_nnunet_channels_are_picked_by_name(tmp_path):
    write_nnunet(tmp_path)
    touch(tmp_path / "labelsTr" / "case_7.nii.gz")
    cohort = find_cohort(tmp_path, TASK)
    assert cohort.layout == "nnunet"
    (case,) = cohort.cases
    assert case.name == "case_7"
    assert names_of(case) == ("case_7_0001.nii.gz", "case_7_0000.nii.gz")
    assert case.label == tmp_path / "labelsTr" / "case_7.nii.gz"


@pytest.mark.parametrize("folder", ["imagesTs", "."])
def test_nnunet_images_need_no_labels(tmp_path, folder):
    write_nnunet(tmp_path, folder)
    (case,) = find_cohort(tmp_path, TASK).cases
    assert (case.name, case.label) == ("case_7", None)


def test_a_folder_of_nnunet_images_is_described_by_its_parent(tmp_path):
    write_nnunet(tmp_path)
    touch(tmp_path / "labelsTr" / "case_7.nii.gz")
    cohort = find_cohort(tmp_path / "imagesTr", TASK)
    assert (cohort.layout, list(cohort.labelled)) == ("nnunet", ["case_7"])


def test_nnunet_cases_of_the_test_set_do_not_train(tmp_path):
    write_nnunet(tmp_path, "imagesTs")
    touch(
        tmp_path / "imagesTr" / "case_1_0000.nii.gz", tmp_path / "imagesTr" / "case_1_0001.nii.gz"
    )
    touch(tmp_path / "labelsTr" / "case_1.nii.gz", tmp_path / "labelsTs" / "case_7.nii.gz")
    assert list(find_cohort(tmp_path, TASK).labelled) == ["case_1"]
    assert list(find_cohort(tmp_path / "imagesTs", TASK).labelled) == ["case_7"]
    assert find_labels(tmp_path / "labelsTs")[0].keys() == {"case_7"}


def test_nnunet_of_the_first_version_names_its_labels_by_value(tmp_path):
    labels = {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"}
    write_nnunet(tmp_path, labels=labels)
    assert find_cohort(tmp_path, TASK).convention == "msd_brats"
    write_nnunet(tmp_path, labels=["background", "edema"])
    assert find_cohort(tmp_path, TASK).convention is None


def test_nnunet_cases_of_one_name_are_not_mixed(tmp_path):
    write_nnunet(tmp_path, "imagesTr")
    write_nnunet(tmp_path, "imagesTs")
    touch(tmp_path / "labelsTr" / "case_7.nii.gz", tmp_path / "labelsTs" / "case_7.nii.gz")
    cohort = find_cohort(tmp_path, TASK)
    assert cohort.cases == ()
    assert "case case_7 has two" in cohort.refused["case_7"]
    (case,) = find_cohort(tmp_path / "imagesTr", TASK).cases
    assert case.label == tmp_path / "labelsTr" / "case_7.nii.gz"


def test_nnunet_without_a_channel_of_the_task_is_told(tmp_path):
    write_nnunet(tmp_path, channel_names={"0": "CT"})
    with pytest.raises(UserError, match=r"dataset\.json has no modality flair: it lists ct"):
        find_cohort(tmp_path, TASK)


def test_nnunet_names_of_labels_tell_the_convention(tmp_path):
    regions = {"whole tumor": [1, 2, 3], "tumor core": [2, 3], "enhancing tumor": 3}
    write_nnunet(tmp_path, labels={"background": 0, **regions})
    assert find_cohort(tmp_path, TASK).convention == "msd_brats"


def write_bids(root, subject="sub-01", session=None, names=("FLAIR", "ce-gadolinium_T1w", "T1w")):
    parts = [subject, *([session] if session else [])]
    folder = root.joinpath(*parts, "anat")
    touch(*(folder / f"{'_'.join(parts)}_{name}.nii.gz" for name in names))
    return folder


def test_bids_tells_contrast_by_its_entity(tmp_path):
    write_bids(tmp_path)
    cohort = find_cohort(tmp_path, TASK)
    assert cohort.layout == "bids"
    (case,) = cohort.cases
    assert case.name == "sub-01"
    assert names_of(case) == (
        "sub-01_FLAIR.nii.gz",
        "sub-01_ce-gadolinium_T1w.nii.gz",
    )


def test_a_bids_session_is_a_case_of_its_own(tmp_path):
    for session in ("ses-a", "ses-b"):
        write_bids(tmp_path, session=session)
    assert [case.name for case in find_cohort(tmp_path, TASK).cases] == [
        "sub-01_ses-a",
        "sub-01_ses-b",
    ]


@pytest.mark.parametrize("place", [".", "derivatives/experts"])
def test_the_one_label_of_a_bids_case_is_found(tmp_path, place):
    write_bids(tmp_path)
    label = tmp_path / place / "sub-01" / "anat" / "sub-01_dseg.nii.gz"
    touch(label)
    assert find_cohort(tmp_path, TASK).cases[0].label == label
    assert find_labels(tmp_path)[0] == {"sub-01": label}


@pytest.mark.parametrize("closed", ["sub-02", "sub-02/anat"])
def test_a_bids_subject_that_cannot_be_listed_is_refused_by_name(tmp_path, closed, monkeypatch):
    for subject in ("sub-01", "sub-02"):
        write_bids(tmp_path, subject)
    close(monkeypatch, tmp_path / closed)
    cohort = find_cohort(tmp_path, TASK)
    assert [case.name for case in cohort.cases] == ["sub-01"]
    assert f"cannot list the folder {tmp_path / closed}" in "".join(cohort.refused.values())


def test_of_several_bids_labels_none_is_guessed(tmp_path):
    write_bids(tmp_path, names=("FLAIR", "ce-gd_T1w", "dseg", "desc-b_dseg"))
    assert find_cohort(tmp_path, TASK).cases[0].label is None


def test_two_runs_of_a_modality_are_refused(tmp_path):
    write_bids(tmp_path, names=("run-1_FLAIR", "run-2_FLAIR", "ce-gd_T1w"))
    (told,) = find_cohort(tmp_path, TASK).refused.values()
    assert "case sub-01 has two flair files" in told


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("{modality}/{case}.nii.gz", ("FLAIR/a_1.nii.gz", "T1ce/a_1.nii.gz")),
        ("{case}-*-{modality}.nii", ("a_1-x-flair.nii", "a_1-y-t1c.nii")),
        ("{case}/{case}.{modality}.nii", ("a_1/a_1.flair.nii", "a_1/a_1.t1c.nii", "a_1/b.t1c.nii")),
    ],
)
def test_a_pattern_finds_files(tmp_path, pattern, files):
    touch(*(tmp_path / file for file in files))
    cohort = find_cohort(tmp_path, TASK, f"pattern:{pattern}")
    (case,) = cohort.cases
    assert case.name == "a_1"
    assert tuple(path.relative_to(tmp_path).as_posix() for path, _ in case.images) == files[:2]


def test_a_pattern_follows_links(tmp_path):
    touch(*(tmp_path / f"store/a/a_{name}.nii.gz" for name in TASK.modalities))
    (tmp_path / "subset").mkdir()
    (tmp_path / "subset/a").symlink_to(tmp_path / "store/a")
    cohort = find_cohort(tmp_path / "subset", TASK, "pattern:{case}/{case}_{modality}.nii.gz")
    assert [case.name for case in cohort.cases] == ["a"]


def test_a_link_does_not_take_the_place_of_a_case(tmp_path):
    touch(*(tmp_path / f"patient/patient_{name}.nii.gz" for name in TASK.modalities))
    (tmp_path / "latest").symlink_to(tmp_path / "patient")
    cohort = find_cohort(tmp_path, TASK, "pattern:{case}/{case}_{modality}.nii.gz")
    assert [case.name for case in cohort.cases] == ["patient"]


def test_a_pattern_needs_both_its_fields(tmp_path):
    with pytest.raises(UserError, match=r"has no \{modality\}"):
        find_cohort(tmp_path, TASK, "pattern:{case}.nii.gz")


def test_an_unknown_layout_is_told_with_the_nearest(tmp_path):
    with pytest.raises(UserError, match="unknown layout 'bid': did you mean bids"):
        find_cohort(tmp_path, TASK, "bid")


def test_a_layout_that_is_asked_for_overrides_what_is_recognised(tmp_path):
    write_bids(tmp_path)
    write_case(tmp_path / "other", BRATS2018)
    assert find_cohort(tmp_path, TASK).layout == "bids"
    assert "other" in {case.name for case in find_cohort(tmp_path, TASK, "folders").cases}


def test_what_was_recognised_is_said(tmp_path):
    write_bids(tmp_path)
    assert find_cohort(tmp_path, TASK).notes == ("1 cases in the layout bids",)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("folder", "layout", "count"),
    [("brats2018", "folders", 14), ("native_space", "folders", 1), ("dicom", "dicom", 1)],
)
def test_real_folders_are_recognised(real_data, folder, layout, count):
    cohort = find_cohort(real_data / folder, TASK)
    assert (cohort.layout, len(cohort.cases), len(cohort.refused)) == (layout, count, 0)


@pytest.mark.real_data
def test_real_slices_are_found_by_a_pattern(real_data):
    root = real_data / "brats2013_2d" / "TrainingData"
    cohort = find_cohort(root, TASK, "pattern:{case}/*_{modality}_slice*.nii.gz")
    assert len(cohort.cases) == 5
