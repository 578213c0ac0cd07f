"""Which cases every bundle is trained on."""

import json

import pytest

from pipeline.comparison.folds import folds
from pipeline.errors import UserError

NAMES = dict(zip("gfedcba", "gfedcba", strict=True))


def test_every_fifth_case_validates():
    (split,) = folds(NAMES, None, None)
    assert split.validation == ("a", "f")
    assert split.train == ("b", "c", "d", "e", "g")


def test_every_case_validates_in_one_fold():
    splits = folds(NAMES, 3, None)
    assert [split.validation for split in splits] == [("a", "d", "g"), ("b", "e"), ("c", "f")]
    for split in splits:
        assert sorted(split.train + split.validation) == sorted(NAMES)


def test_a_file_takes_the_place_of_folds(tmp_path):
    file = tmp_path / "split.json"
    file.write_text(json.dumps({"train": ["a"], "validation": ["b"]}))
    (split,) = folds(NAMES, None, file)
    assert (split.train, split.validation) == (("a",), ("b",))
    with pytest.raises(UserError, match="cannot be both"):
        folds(NAMES, 3, file)


def test_cases_of_one_subject_cannot_be_split():
    with pytest.raises(UserError, match="of one subject cannot be split: give two"):
        folds({"a1": "a", "a2": "a"}, None, None)


@pytest.mark.parametrize(("names", "count"), [(NAMES, 1), (NAMES, 8), ({"a": "a"}, None)])
def test_more_folds_than_cases_are_refused(names, count):
    with pytest.raises(UserError, match="cannot be split"):
        folds(names, count, None)


def test_all_cases_of_a_subject_are_in_one_part():
    subjects = {f"{subject}{session}": subject for subject in "abc" for session in (1, 2)}
    splits = folds(subjects, 3, None)
    assert [split.validation for split in splits] == [("a1", "a2"), ("b1", "b2"), ("c1", "c2")]
    assert splits[0].train == ("b1", "b2", "c1", "c2")
