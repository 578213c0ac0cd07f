import csv
import json

import pytest
from rich.console import Console

from pipeline.errors import UserError
from pipeline.evaluation.tables import Evaluation, Failure, Row

ROWS = (
    Row("ann", "WT", 0.9, 2.0),
    Row("ann", "ET", 1.0, 0.0),
    Row("bob", "WT", 0.7, 5.0),
    Row("bob", "ET", 1 / 3, 373.13),
)
EVALUATION = Evaluation(ROWS, (Failure("cyd", "no prediction cyd.nii.gz"),))


def terminal_text(evaluation):
    console = Console(width=120)
    with console.capture() as capture:
        console.print(evaluation.to_table())
    return capture.get()


def test_a_summary_is_mean_and_sample_deviation_over_cases():
    whole = EVALUATION.summary["WT"]
    assert whole.num_cases == 2
    assert whole.dice == pytest.approx((0.8, 0.02**0.5))
    assert whole.hd95_mm == pytest.approx((3.5, 4.5**0.5))


def test_regions_keep_their_order():
    assert list(EVALUATION.summary) == ["WT", "ET"]


def test_one_case_does_not_deviate():
    assert Evaluation(ROWS[:1], ()).summary["WT"].dice == (0.9, 0.0)


def test_no_case_has_no_summary():
    assert Evaluation((), EVALUATION.failures).summary == {}


def test_csv_gives_back_every_row(tmp_path):
    path = tmp_path / "scores.csv"
    EVALUATION.write_csv(path)
    lines = path.read_text().splitlines()
    assert lines[0] == "case,region,dice,hd95_mm"
    with path.open(newline="") as file:
        rows = [
            Row(case, region, float(dice), float(hd95))
            for case, region, dice, hd95 in list(csv.reader(file))[1:]
        ]
    assert tuple(rows) == ROWS


def test_csv_leaves_nothing_beside(tmp_path):
    EVALUATION.write_csv(tmp_path / "scores.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]


def test_a_csv_that_cannot_be_written_ends_in_one_sentence(tmp_path):
    (tmp_path / "scores.csv").mkdir()
    with pytest.raises(UserError, match=r"scores\.csv"):
        EVALUATION.write_csv(tmp_path / "scores.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]


def test_json_survives_its_text():
    content = EVALUATION.to_json()
    assert json.loads(json.dumps(content, allow_nan=False)) == content


def test_json_names_rows_failures_and_rule():
    content = EVALUATION.to_json()
    assert content["rows"][2] == {"case": "bob", "region": "WT", "dice": 0.7, "hd95_mm": 5.0}
    assert content["summary"]["WT"]["hd95_mm"]["mean"] == 3.5
    assert content["failures"] == [{"case": "cyd", "sentence": "no prediction cyd.nii.gz"}]
    assert content["empty_rule"] == "brats"
    assert set(content["versions"]) == {"unet-bundles", "numpy", "scipy"}


def test_the_table_shows_cases_then_means_then_the_rule():
    text = terminal_text(EVALUATION)
    positions = [text.index(part) for part in ("bob", "0.800 ± 0.141", "brats", "373.13 mm")]
    assert positions == sorted(positions)
    assert "3.50 ± 2.12" in text
    assert "mean ± std of 2" in text
