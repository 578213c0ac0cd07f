import csv
import json
import math

import pytest
from rich.console import Console

from pipeline.errors import UserError
from pipeline.evaluation.tables import METRICS, Evaluation, Failure, Row

PERFECT = Row("ann", "WT", 1, 1, 0, 0, 0, 1, 1, 1, 2.5, 2.5, 0, 1, 0, 2, 0, 0)
ROWS = (
    PERFECT._replace(dice=0.9, hd95_mm=2.0),
    PERFECT._replace(region="ET", reference_ml=0.0),
    PERFECT._replace(case="bob", dice=0.7, hd95_mm=5.0),
    PERFECT._replace(case="bob", region="ET", dice=1 / 3, hd95_mm=373.13),
)
EVALUATION = Evaluation(ROWS, (Failure("cyd", "no prediction cyd.nii.gz"),))


def terminal_text(evaluation, width=120):
    console = Console(width=width)
    with console.capture() as capture:
        console.print(evaluation.to_table())
    return capture.get()


def test_a_summary_is_mean_and_sample_deviation_over_cases():
    whole = EVALUATION.summary["WT"]
    assert whole["dice"][:3] == pytest.approx((2, 0.8, 0.02**0.5))
    assert whole["hd95_mm"][:3] == pytest.approx((2, 3.5, 4.5**0.5))


def test_every_metric_has_a_summary_and_every_number_a_metric():
    assert tuple(METRICS) == Row._fields[2:]
    assert list(EVALUATION.summary["WT"]) == list(METRICS)


def test_regions_keep_their_order():
    assert list(EVALUATION.summary) == ["WT", "ET"]


def test_one_case_does_not_deviate():
    assert Evaluation(ROWS[:1], ()).summary["WT"]["dice"][:3] == (1, 0.9, 0.0)


def test_no_case_has_no_summary():
    assert Evaluation((), EVALUATION.failures).summary == {}


def test_csv_gives_back_every_row(tmp_path):
    path = tmp_path / "scores.csv"
    EVALUATION.write_csv(path)
    lines = path.read_text().splitlines()
    assert lines[0] == ",".join(Row._fields)
    with path.open(newline="") as file:
        rows = [
            Row(case, region, *map(float, numbers))
            for case, region, *numbers in list(csv.reader(file))[1:]
        ]
    assert tuple(rows) == ROWS


def test_mean_and_deviation_of_each_region_stand_beside_the_csv(tmp_path):
    EVALUATION.write(tmp_path / "scores.csv")
    assert {path.name for path in tmp_path.iterdir()} == {"scores.csv", "scores_summary.csv"}
    with (tmp_path / "scores_summary.csv").open(newline="") as file:
        lines = {(line["region"], line["metric"]): line for line in csv.DictReader(file)}
    assert list(lines) == [(region, metric) for region in ("WT", "ET") for metric in METRICS]
    whole = lines["WT", "dice"]
    assert whole["num_cases"] == "2"
    assert float(whole["mean"]) == pytest.approx(0.8)
    assert float(whole["std"]) == pytest.approx(0.02**0.5)


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
    assert content["rows"][2] == ROWS[2]._asdict()
    assert content["summary"]["WT"]["hd95_mm"]["mean"] == 3.5
    assert content["tolerance_mm"] == 1.0
    assert content["failures"] == [{"case": "cyd", "sentence": "no prediction cyd.nii.gz"}]
    assert content["empty_rule"] == "brats"
    assert set(content["versions"]) == {"unet-bundles", "numpy", "scipy"}


def test_the_table_shows_cases_then_means_then_the_rule_then_failures():
    text = terminal_text(EVALUATION)
    parts = ("bob", "0.800 ± 0.141", "brats", "373.13 mm", "without scores: cyd")
    positions = [text.index(part) for part in parts]
    assert positions == sorted(positions)
    assert "3.50 ± 2.12" in text


@pytest.mark.parametrize("case", ["Brats18_CBICA_AAB_1", "br[red]x", ":smile:z"])
def test_the_table_keeps_names_and_counts_whole_in_80_columns(case):
    region = "a_long_name_of_a_structure"
    evaluation = Evaluation((PERFECT._replace(case=case, region=region),), ())
    rows = [line.split("│") for line in terminal_text(evaluation, 80).splitlines()]
    cells = [[cell.strip() for cell in row] for row in rows if len(row) == 9]
    columns = ["".join(parts) for parts in zip(*cells, strict=True)]
    assert case in columns
    assert region in columns
    assert "2/0/0" in columns[-2]


def test_the_table_fits_a_hundred_columns():
    rows = [row._replace(case="BraTS-GLI-00001-000") for row in ROWS]
    text = terminal_text(Evaluation(tuple(rows), ()), width=100)
    assert "BraTS-GLI-00001-000" in text
    assert "lesion HD95" not in text
    assert "…" not in text


@pytest.mark.parametrize("name", ["nan", "skip", "brats"])
def test_the_rule_is_printed_with_the_table(name):
    assert f"empty regions ({name})" in terminal_text(Evaluation(ROWS, (), name))


def test_nan_leaves_the_mean_of_its_metric_alone():
    rows = (*ROWS[:2], ROWS[2]._replace(hd95_mm=math.nan), ROWS[3])
    whole = Evaluation(rows, (), "nan").summary["WT"]
    assert whole["hd95_mm"][:3] == (1, 2.0, 0.0)
    assert whole["dice"].num_cases == 2


def test_a_metric_that_no_case_has_is_nan():
    rows = (ROWS[0]._replace(hd95_mm=math.nan),)
    spread = Evaluation(rows, (), "nan").summary["WT"]["hd95_mm"]
    assert spread.num_cases == 0
    assert math.isnan(spread.mean)


def test_skip_leaves_rows_with_an_empty_region_out_and_says_how_many():
    evaluation = Evaluation(ROWS, (), "skip")
    assert evaluation.skipped == (ROWS[1],)
    assert evaluation.summary["ET"]["dice"][:2] == (1, 1 / 3)
    assert evaluation.to_json()["rows_skipped"] == 1
    assert "1 of 4 left out" in terminal_text(evaluation)


@pytest.mark.parametrize("name", ["brats", "nan", "skip"])
def test_json_gives_back_the_evaluation(tmp_path, name):
    before = Evaluation(ROWS, EVALUATION.failures, name, 2.5)
    before.write(tmp_path / "scores.json")
    assert Evaluation.read(tmp_path / "scores.json") == before


def test_json_has_null_for_nan(tmp_path):
    path = tmp_path / "scores.json"
    Evaluation((PERFECT._replace(hd_mm=math.nan),), (), "nan").write(path)
    assert json.loads(path.read_text())["rows"][0]["hd_mm"] is None
    assert math.isnan(Evaluation.read(path).rows[0].hd_mm)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rows": [{"case": "ann"}], "failures": []}'])
def test_other_json_is_refused(tmp_path, text):
    path = tmp_path / "scores.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"scores\.json does not hold scores"):
        Evaluation.read(path)


def test_a_missing_file_of_scores_is_named(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*scores\.json"):
        Evaluation.read(tmp_path / "scores.json")
