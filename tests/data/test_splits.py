import json

import pytest

from pipeline.data.splits import Split, trained_by
from pipeline.errors import UserError

NAMES = [f"case{number}" for number in range(10)]


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_every_case_trains_or_validates_and_none_does_both():
    split = Split.drawn(NAMES, 0.3, seed=0)
    assert sorted(split.train + split.validation) == NAMES


def test_a_seed_draws_one_split_whatever_the_order_of_the_names():
    assert Split.drawn(NAMES, 0.3, seed=7) == Split.drawn(NAMES[::-1], 0.3, seed=7)


def test_another_seed_draws_another_split():
    assert len({Split.drawn(NAMES, 0.3, seed) for seed in range(5)}) > 1


@pytest.mark.parametrize(
    ("num_cases", "fraction", "num_validation"),
    [(10, 0.2, 2), (10, 0.24, 2), (10, 0.26, 3), (10, 0, 1), (10, 1, 9), (2, 0.2, 1), (3, 0.9, 2)],
)
def test_the_fraction_is_rounded_and_leaves_a_case_on_either_side(
    num_cases, fraction, num_validation
):
    split = Split.drawn(NAMES[:num_cases], fraction, seed=0)
    assert len(split.validation) == num_validation
    assert len(split.train) == num_cases - num_validation


def test_one_case_cannot_be_split():
    with pytest.raises(UserError, match="labelled cases of 1 subject cannot be split"):
        Split.drawn(["case0"], 0.2, seed=0)


def test_a_written_split_is_read_back(tmp_path):
    split = Split.drawn(NAMES, 0.2, seed=0)
    split.write(tmp_path / "run" / "split.json")
    assert Split.read(tmp_path / "run" / "split.json", NAMES) == split


def test_a_split_may_leave_cases_out(tmp_path):
    path = write(tmp_path / "split.json", {"train": ["case1"], "validation": ["case2"]})
    assert Split.read(path, NAMES) == Split(("case1",), ("case2",))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"train": ["case1"], "validation": ["case11"]}, "names the case 'case11', not in"),
        ({"train": ["case1", "case2"], "validation": ["case1"]}, "'case1' twice"),
        ({"train": ["case1", "case1"], "validation": []}, "'case1' twice"),
        ({"train": ["case1"], "validation": []}, "names no case under validation"),
        ({"train": ["case1"]}, "is no split"),
        ({"train": 3, "validation": []}, "is no split"),
        ({"train": [3], "validation": []}, "names the case 3, not in the data"),
        (["case1"], "is no split"),
        ("{train: case1", "is no split"),
    ],
)
def test_a_mistaken_split_ends_in_a_sentence_that_names_the_file(tmp_path, content, sentence):
    path = write(tmp_path / "split.json", content)
    with pytest.raises(UserError, match=rf"split\.json.*{sentence}"):
        Split.read(path, NAMES)


def test_a_missing_split_ends_in_a_sentence(tmp_path):
    with pytest.raises(UserError, match=r"cannot read the split .*no\.json"):
        Split.read(tmp_path / "no.json", NAMES)


def test_a_split_that_trains_nothing_serves_for_scoring_alone(tmp_path):
    (tmp_path / "split.json").write_text(json.dumps({"train": [], "validation": ["case1"]}))
    split = Split.read(tmp_path / "split.json", ["case1"])
    assert split.validation == ("case1",)
    with pytest.raises(UserError, match="names no case under train: list one at least"):
        split.check_trains()


def test_what_trained_weights_is_told_by_their_runs_one_after_the_other(tmp_path):
    for name, case, start in (("b", "case1", "a/models/model.safetensors"), ("a", "case0", None)):
        Split((case,), ("other",)).write(tmp_path / name / "split.json")
        (tmp_path / name / "configs").mkdir()
        (tmp_path / name / "configs/train.yaml").touch()
        started = None if start is None else str(tmp_path / start)
        (tmp_path / name / "environment.json").write_text(json.dumps({"start_from": started}))
    assert trained_by(str(tmp_path / "b/checkpoints/01/network.safetensors")) == {"case0", "case1"}
    assert trained_by(str(tmp_path / "a/models/model.safetensors")) == {"case0"}
    assert trained_by(str(tmp_path / "model.safetensors")) == trained_by(None) == set()


def test_what_weights_were_started_from_is_found_from_another_folder(tmp_path, monkeypatch):
    for name, case in (("runs/b", "case1"), ("runs/a", "case0")):
        Split((case,), ("other",)).write(tmp_path / name / "split.json")
        (tmp_path / name / "configs").mkdir()
        (tmp_path / name / "configs/train.yaml").touch()
    typed = json.dumps({"start_from": "runs/a/models/model.safetensors"})
    (tmp_path / "runs/b/environment.json").write_text(typed)
    monkeypatch.chdir(tmp_path.parent)
    assert trained_by(str(tmp_path / "runs/b/models/model.safetensors")) == {"case0", "case1"}
