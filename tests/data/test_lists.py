"""Cases that a table, or the command line, lists file by file."""

import json

import pytest

from pipeline.arguments import parse_files
from pipeline.data.cohorts import find_cohort, find_labels, single_case
from pipeline.errors import UserError
from pipeline.tasks import Task
from tests.data.test_cohorts import names_of, touch

TASK = Task(("flair", "t1c"), regions=("WT",))


def test_a_table_lists_cases_with_paths_relative_to_itself(tmp_path):
    touch(tmp_path / "x" / "1.nii.gz", tmp_path / "x" / "2.nii.gz", tmp_path / "x" / "3.nii.gz")
    table = tmp_path / "mine.csv"
    table.write_text("case,T1ce,FLAIR,label\nanna,x/1.nii.gz,x/2.nii.gz,x/3.nii.gz\n")
    cohort = find_cohort(table, TASK)
    assert cohort.layout == "list"
    (case,) = cohort.cases
    assert (case.name, names_of(case)) == ("anna", ("2.nii.gz", "1.nii.gz"))
    assert case.label == tmp_path / "x" / "3.nii.gz"


def test_a_column_of_numbers_is_no_modality(tmp_path):
    touch(tmp_path / "1.nii.gz", tmp_path / "2.nii.gz")
    (tmp_path / "cases.csv").write_text(",case,flair,t1c\n0,anna,1.nii.gz,2.nii.gz\n")
    cohort = find_cohort(tmp_path, TASK)
    assert (len(cohort.cases), cohort.refused) == (1, {})


def test_a_json_list_in_the_folder_is_found(tmp_path):
    touch(tmp_path / "1.nii.gz", tmp_path / "2.nii.gz")
    rows = [{"case": "anna", "flair": "1.nii.gz", "t1c": "2.nii.gz"}]
    (tmp_path / "cases.json").write_text(json.dumps(rows))
    (case,) = find_cohort(tmp_path, TASK).cases
    assert (case.name, names_of(case)) == ("anna", ("1.nii.gz", "2.nii.gz"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("case,flair\n", "lists no case"),
        ("case,flair,t1c\n,a,b\n", "entry 1 .* names no case"),
        ("case,flair,t1c\na,x,y\na,x,y\n", "lists the case a twice"),
        ("case,flair\na,x\n", "has no modality t1c: it lists flair"),
        ("case,flair,t1c\na,x,y,z\n", "entry 1 .* has more fields than the first line"),
    ],
)
def test_a_table_that_is_no_list_of_cases_is_told(tmp_path, text, sentence):
    (tmp_path / "cases.csv").write_text(text)
    with pytest.raises(UserError, match=sentence):
        find_cohort(tmp_path, TASK)


def test_a_listed_file_that_is_missing_refuses_its_case_alone(tmp_path):
    touch(tmp_path / "1.nii.gz", tmp_path / "2.nii.gz")
    (tmp_path / "cases.csv").write_text(
        "case,flair,t1c\na,1.nii.gz,2.nii.gz\nb,1.nii.gz,no.nii.gz\n"
    )
    cohort = find_cohort(tmp_path, TASK)
    assert [case.name for case in cohort.cases] == ["a"]
    assert "no.nii.gz: correct t1c" in cohort.refused["b"]


def test_two_columns_of_one_modality_are_not_chosen_between(tmp_path):
    touch(*(tmp_path / f"{number}.nii.gz" for number in "123"))
    (tmp_path / "cases.csv").write_text(
        "case,flair,t1c,t1gd\na,1.nii.gz,2.nii.gz,\nb,1.nii.gz,2.nii.gz,3.nii.gz\n"
    )
    cohort = find_cohort(tmp_path, TASK)
    assert [case.name for case in cohort.cases] == ["a"]
    assert "has t1c in two columns, t1c and t1gd: keep one" in cohort.refused["b"]


def test_two_columns_of_references_are_not_chosen_between(tmp_path):
    touch(tmp_path / "raw.nii.gz", tmp_path / "corrected.nii.gz")
    (tmp_path / "cases.csv").write_text("case,seg,label\na,raw.nii.gz,corrected.nii.gz\n")
    with pytest.raises(UserError, match="has label in two columns, seg and label: keep one"):
        find_labels(tmp_path / "cases.csv")


@pytest.mark.parametrize(
    ("items", "said"),
    [
        (["flair=a.nii", "flair=b.nii"], "--images names flair twice: keep one"),
        (["flair=a.nii", "t1c=b.nii", "t1gd=c.nii"], "b.nii and c.nii are both t1gd: keep one"),
    ],
)
def test_two_files_of_one_modality_are_not_chosen_between(items, said):
    with pytest.raises(UserError, match=said):
        single_case(parse_files(items), TASK)


def test_a_row_without_files_is_refused_by_name(tmp_path):
    touch(tmp_path / "1.nii.gz", tmp_path / "2.nii.gz")
    (tmp_path / "cases.csv").write_text("case,flair,t1c\na,1.nii.gz,2.nii.gz\nb,,\n")
    cohort = find_cohort(tmp_path, TASK)
    assert [case.name for case in cohort.cases] == ["a"]
    assert "case b" in cohort.refused["b"]


def test_two_names_of_one_modality_in_a_task_are_refused(tmp_path):
    touch(tmp_path / "a/flair.nii.gz")
    with pytest.raises(UserError, match="modalities t1 and T1w are the same: name each once"):
        find_cohort(tmp_path, Task(("t1", "T1w"), regions=("WT",)))
