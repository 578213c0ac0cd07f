import os
from errno import EACCES
from pathlib import Path

import pytest

from pipeline.data.cohorts import (
    find_cohort,
    find_labels,
    single_case,
)
from pipeline.data.modalities import canonical
from pipeline.errors import UserError
from pipeline.tasks import Task

GLIOMA = Task(("flair", "t1", "t1c", "t2"), regions=("TC", "WT", "ET"))
BRATS2018 = ("_flair", "_t1", "_t1ce", "_t2", "_seg")
BRATS2023 = ("-t2f", "-t1n", "-t1c", "-t2w", "-seg")
PLAIN = ("flair", "t1", "t1c", "t2", "seg")


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write_case(folder, endings, prefix=None, suffix=".nii.gz"):
    prefix = folder.name if prefix is None else prefix
    touch(*(folder / f"{prefix}{ending}{suffix}" for ending in endings))


def close(monkeypatch, folder):
    """Let the system refuse to list ``folder``, whoever asks."""
    scandir = os.scandir

    def closed(path):
        if Path(path) == folder:
            raise PermissionError(EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)


def names_of(case):
    """File names of the images in the order of the task."""
    return tuple(path.name for path, _ in case.images)


@pytest.mark.parametrize(
    ("names", "modality"),
    [
        (("flair", "FLAIR", "t2f", "T2_FLAIR"), "flair"),
        (("t1", "T1n", "t1w"), "t1"),
        (("t1c", "T1CE", "t1Gd", "t1post", "T1-post", "t1wce"), "t1c"),
        (("t2", "T2w"), "t2"),
        (("CT", "ct"), "ct"),
    ],
)
def test_the_usual_names_of_a_modality_are_one(names, modality):
    assert {canonical(name) for name in names} == {modality}


@pytest.mark.parametrize(
    ("endings", "convention"), [(BRATS2018, "brats2018"), (BRATS2023, "brats2023")]
)
def test_the_names_of_brats_tell_modalities_and_convention(tmp_path, endings, convention):
    for name in ("BraTS-2", "BraTS-1"):
        write_case(tmp_path / name, endings)
    cohort = find_cohort(tmp_path, GLIOMA)
    assert cohort.convention == convention
    assert [case.name for case in cohort.cases] == ["BraTS-1", "BraTS-2"]
    assert names_of(cohort.cases[0]) == tuple(f"BraTS-1{end}.nii.gz" for end in endings[:4])
    assert cohort.cases[0].label == tmp_path / "BraTS-1" / f"BraTS-1{endings[4]}.nii.gz"
    assert not cohort.refused


def test_images_stand_in_the_order_of_the_task(tmp_path):
    write_case(tmp_path / "a", BRATS2023)
    cohort = find_cohort(tmp_path, Task(("t2", "t1c"), regions=("WT",)))
    assert names_of(cohort.cases[0]) == ("a-t2w.nii.gz", "a-t1c.nii.gz")


def test_letter_case_does_not_matter(tmp_path):
    write_case(tmp_path / "a", [ending.upper() for ending in BRATS2018], suffix=".NII.GZ")
    cohort = find_cohort(tmp_path, GLIOMA)
    assert cohort.convention == "brats2018"
    assert names_of(cohort.cases[0])[2] == "a_T1CE.NII.GZ"
    assert cohort.cases[0].label is not None


@pytest.mark.parametrize("contrast", ["t1c", "t1ce", "t1gd", "t1post", "T1wCE"])
def test_contrast_enhanced_t1_has_many_names(tmp_path, contrast):
    write_case(tmp_path / "a", ("_flair", "_t1", f"_{contrast}", "_t2"))
    assert names_of(find_cohort(tmp_path, GLIOMA).cases[0])[2] == f"a_{contrast}.nii.gz"


def test_a_plain_folder_names_its_case(tmp_path):
    write_case(tmp_path / "patient-7", PLAIN, prefix="", suffix=".nii")
    cohort = find_cohort(tmp_path, GLIOMA)
    assert cohort.convention is None
    (case,) = cohort.cases
    assert case.name == "patient-7"
    assert names_of(case) == ("flair.nii", "t1.nii", "t1c.nii", "t2.nii")
    assert case.label == tmp_path / "patient-7" / "seg.nii"


def test_a_flat_folder_holds_one_case_a_prefix(tmp_path):
    for name in ("b", "a_1"):
        write_case(tmp_path, BRATS2018, prefix=name)
    cohort = find_cohort(tmp_path, GLIOMA)
    assert [case.name for case in cohort.cases] == ["a_1", "b"]
    assert names_of(cohort.cases[0])[0] == "a_1_flair.nii.gz"


def test_the_folder_of_one_case_is_a_cohort_of_one(tmp_path):
    write_case(tmp_path / "BraTS-1", BRATS2023)
    (case,) = find_cohort(tmp_path / "BraTS-1", GLIOMA).cases
    assert case.name == "BraTS-1"


def test_grades_in_folders_of_their_own_are_one_cohort(tmp_path):
    write_case(tmp_path / "HGG" / "a", BRATS2018)
    write_case(tmp_path / "LGG" / "b", BRATS2018)
    assert [case.name for case in find_cohort(tmp_path, GLIOMA).cases] == ["a", "b"]


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (("HGG/a", "LGG/a"), {"HGG_a", "LGG_a"}),
        (("x/HGG/a", "y/HGG/a", "y/HGG/b"), {"x_HGG_a", "y_HGG_a", "b"}),
    ],
)
def test_cases_of_equal_name_are_told_apart_by_their_folders(tmp_path, folders, names):
    for folder in folders:
        write_case(tmp_path / folder, BRATS2018)
    assert {case.name for case in find_cohort(tmp_path, GLIOMA).cases} == names
    assert find_labels(tmp_path)[0].keys() == names


def test_labels_are_optional(tmp_path):
    write_case(tmp_path / "a", BRATS2018[:4])
    write_case(tmp_path / "b", BRATS2018)
    cohort = find_cohort(tmp_path, GLIOMA)
    assert [case.label is None for case in cohort.cases] == [True, False]
    assert list(cohort.labelled) == ["b"]


def test_a_case_without_a_modality_is_refused_by_name_and_the_others_stay(tmp_path):
    write_case(tmp_path / "a", ("_flair", "_t1", "_t2", "_seg"))
    write_case(tmp_path / "b", BRATS2018)
    cohort = find_cohort(tmp_path, GLIOMA)
    assert [case.name for case in cohort.cases] == ["b"]
    assert list(cohort.refused) == ["a"]
    assert "case a" in cohort.refused["a"]
    assert "no t1c image (known names: t1c, t1ce," in cohort.refused["a"]


def test_folders_without_any_modality_and_hidden_files_are_no_cases(tmp_path):
    write_case(tmp_path / "a", BRATS2018)
    touch(tmp_path / "notes" / "atlas.nii.gz", tmp_path / "a" / "._a_flair.nii.gz")
    write_case(tmp_path / ".trash" / "b", BRATS2018)
    cohort = find_cohort(tmp_path, GLIOMA)
    assert [case.name for case in cohort.cases] == ["a"]
    assert not cohort.refused


def test_names_of_two_conventions_tell_none(tmp_path):
    write_case(tmp_path / "a", BRATS2018)
    write_case(tmp_path / "b", BRATS2023)
    assert find_cohort(tmp_path, GLIOMA).convention is None


def test_exclusive_classes_have_the_convention_of_the_task(tmp_path):
    write_case(tmp_path / "a", ("_ct", "_label"))
    task = Task(("CT",), classes=("background", "liver"))
    cohort = find_cohort(tmp_path, task)
    assert (cohort.convention, len(cohort.labelled)) == ("classes", 1)


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_a_folder_without_cases_ends_in_a_sentence(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=f"no (folder|case under) .*{folder}"):
        find_cohort(tmp_path / folder, GLIOMA)


@pytest.mark.parametrize(
    ("files", "cases"),
    [
        (("c_t1gd", "c_t1post", "c_flair", "c_t1", "c_t2"), "case c has two t1c files"),
        ((*(f"c{end}" for end in BRATS2018), "c_label"), "case c has two label files"),
    ],
)
def test_two_files_of_a_modality_refuse_their_case(tmp_path, files, cases):
    touch(*(tmp_path / "c" / f"{name}.nii.gz" for name in files))
    write_case(tmp_path / "b", BRATS2018)
    cohort = find_cohort(tmp_path, GLIOMA)
    assert [case.name for case in cohort.cases] == ["b"]
    assert cases in cohort.refused["c"]


def test_a_reference_is_never_chosen_between_two(tmp_path):
    touch(*(tmp_path / "c" / f"c_{name}.nii.gz" for name in ("flair", "seg", "label")))
    write_case(tmp_path / "b", BRATS2018)
    with pytest.raises(UserError, match="case c has two label files"):
        find_labels(tmp_path)


def test_halves_of_two_cases_in_one_folder_are_not_one(tmp_path):
    write_case(tmp_path, BRATS2018[:2], prefix="p1")
    write_case(tmp_path, BRATS2018[2:4], prefix="p2")
    cohort = find_cohort(tmp_path, GLIOMA)
    assert cohort.cases == ()
    assert "no t1c image" in cohort.refused["p1"]
    assert "no flair image" in cohort.refused["p2"]


def test_files_of_a_case_folder_may_begin_differently(tmp_path):
    touch(*(tmp_path / "a" / f"{name}.nii.gz" for name in ("x_flair", "y_t1", "z_t1c", "t2")))
    assert [case.name for case in find_cohort(tmp_path, GLIOMA).cases] == ["a"]


def test_cases_whose_folders_give_them_one_name_are_refused(tmp_path):
    for folder in ("a/c", "b/c", "a_c"):
        write_case(tmp_path / folder, BRATS2018)
    cohort = find_cohort(tmp_path, GLIOMA)
    assert [case.name for case in cohort.cases] == ["b_c"]
    assert "2 cases of" in cohort.refused["a_c"]
    with pytest.raises(UserError, match="have the name a_c"):
        find_labels(tmp_path)


def test_folders_without_a_modality_of_the_task_are_counted(tmp_path):
    write_case(tmp_path / "a", BRATS2018)
    write_case(tmp_path / "b", ("_ct",))
    assert "1 more have none of flair, t1, t1c, t2: they are left out" in (
        find_cohort(tmp_path, GLIOMA).notes
    )


def test_a_single_case_is_named_by_its_first_file(tmp_path):
    files = {
        "T2w": tmp_path / "x-t2w.nii.gz",
        "t1ce": tmp_path / "x-t1c.nii.gz",
        "t1": tmp_path / "x-t1n.nii.gz",
        "flair": tmp_path / "sub-1_T2F.nii.gz",
    }
    case = single_case(files, GLIOMA)
    assert case.name == "sub-1"
    assert case.label is None
    assert case.images == tuple((files[key], None) for key in ("flair", "t1", "t1ce", "T2w"))


def test_a_name_that_ends_like_a_modality_stays_whole(tmp_path):
    task = Task(("t1",), regions=("WT",))
    assert single_case({"t1": tmp_path / "patient1.nii.gz"}, task).name == "patient1"


def test_a_single_case_of_plain_files_is_named_by_their_folder(tmp_path):
    task = Task(("flair",), regions=("WT",))
    assert single_case({"flair": tmp_path / "anna" / "flair.nii"}, task).name == "anna"


@pytest.mark.parametrize(
    ("modalities", "sentence"),
    [
        (("flair", "t1", "t1c"), "no t2 image given: add t2=FILE"),
        (("flair", "t1", "t1c", "t2", "ct"), "ct is no modality of the task"),
    ],
)
def test_a_single_case_needs_the_modalities_of_the_task(tmp_path, modalities, sentence):
    with pytest.raises(UserError, match=sentence):
        single_case({name: tmp_path / f"{name}.nii" for name in modalities}, GLIOMA)


def test_masks_are_found_where_the_layout_images_is_asked_for(tmp_path):
    touch(tmp_path / "a_mask.png", tmp_path / "b.nii.gz")
    assert find_labels(tmp_path, "images") == ({"a": tmp_path / "a_mask.png"}, None)


def test_links_to_case_folders_are_followed_and_circles_end(tmp_path):
    write_case(tmp_path / "store" / "a", BRATS2023)
    cohort = tmp_path / "cohort"
    cohort.mkdir()
    (cohort / "a").symlink_to(tmp_path / "store" / "a")
    (cohort / "loop").symlink_to(cohort)
    assert [case.name for case in find_cohort(cohort, GLIOMA).cases] == ["a"]
