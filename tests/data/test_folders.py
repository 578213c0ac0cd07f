"""Folders of cases that cannot be listed, and labels that lie alone."""

import pytest

from pipeline.data.cohorts import find_cohort, find_labels
from pipeline.errors import UserError
from tests.data.test_cohorts import BRATS2018, GLIOMA, close, touch, write_case


@pytest.mark.parametrize("layout", ["folders", "pattern:{case}/{case}_{modality}.nii.gz"])
def test_a_folder_that_cannot_be_listed_is_refused_by_name(tmp_path, layout, monkeypatch):
    for name in ("a", "b"):
        write_case(tmp_path / name, BRATS2018)
    close(monkeypatch, tmp_path / "b")
    cohort = find_cohort(tmp_path, GLIOMA, layout)
    assert [case.name for case in cohort.cases] == ["a"]
    assert "cannot list the folder" in cohort.refused["b"]
    assert "make it readable" in cohort.refused["b"]
    with pytest.raises(UserError, match="cannot list the folder"):
        find_labels(tmp_path, layout)


def test_a_label_that_lies_alone_belongs_to_the_images_that_it_is_named_after(tmp_path):
    write_case(tmp_path / "a", BRATS2018[:4], "c")
    touch(*(tmp_path / "a" / f"c_{name}.nii.gz" for name in ("t1c_seg", "t1_mask", "t2_mask")))
    (case,) = find_cohort(tmp_path, GLIOMA).cases
    assert (case.name, case.label.name) == ("c", "c_t1c_seg.nii.gz")
    touch(tmp_path / "a" / "c_manual_seg.nii.gz")
    assert "has two label files" in find_cohort(tmp_path, GLIOMA).refused["c"]
    touch(tmp_path / "a" / "c_seg.nii.gz")
    (case,) = find_cohort(tmp_path, GLIOMA).cases
    assert case.label.name == "c_seg.nii.gz"


def test_a_label_without_images_is_not_given_to_another_case(tmp_path):
    for name in ("P1", "P3"):
        write_case(tmp_path, BRATS2018[:4], name)
    touch(tmp_path / "P1_2_seg.nii.gz")
    cohort = find_cohort(tmp_path, GLIOMA)
    assert [(case.name, case.label) for case in cohort.cases] == [("P1", None), ("P3", None)]


@pytest.mark.parametrize("with_labels", [True, False])
def test_of_two_labels_a_prediction_could_replace_one(tmp_path, with_labels):
    write_case(tmp_path / "a", BRATS2018)
    touch(tmp_path / "a" / "a_seg.nii")
    refused = find_cohort(tmp_path, GLIOMA, with_labels=with_labels).refused
    assert "two label files" in refused["a"]


def test_two_references_of_one_case_are_not_chosen_between(tmp_path):
    touch(tmp_path / "a.nii", tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")
    with pytest.raises(UserError, match=r"a\.nii and .*a\.nii\.gz are of one case: keep one"):
        find_labels(tmp_path)


def test_a_closed_folder_of_a_cases_name_is_told(tmp_path, monkeypatch):
    write_case(tmp_path / "site1" / "b", BRATS2018)
    (tmp_path / "b").mkdir()
    close(monkeypatch, tmp_path / "b")
    assert "cannot list the folder" in find_cohort(tmp_path, GLIOMA).refused["b"]


def test_the_folder_of_a_disk_for_lost_files_is_no_case(tmp_path, monkeypatch):
    write_case(tmp_path / "a", BRATS2018)
    (tmp_path / "lost+found").mkdir()
    close(monkeypatch, tmp_path / "lost+found")
    assert find_cohort(tmp_path, GLIOMA).refused == {}
