"""Cases of a cohort segmented one after the other, read and written beside it."""

import json
import os
import shutil
import signal
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data.cases import Align, Case
from pipeline.data.volumes import Volume, read_volume
from pipeline.errors import UserError
from pipeline.files import write_json
from pipeline.inference.workers import overlapped
from pipeline.tasks import Task
from tests.inference.deadly import Deadly
from tests.inference.marking import AFFINE, Marker, bright
from tests.inference.words import until


def labels(folder, name) -> Volume:
    return read_volume(folder / "out" / f"{name}.nii.gz")


def record(folder):
    return json.loads((folder / "out" / "run.json").read_text())


def files(folder):
    return sorted(path.name for path in (folder / "out").iterdir())


@pytest.mark.parametrize("reads_ahead", [1, 0])
def test_each_case_gets_its_own_labels(segment, cases, tmp_path, reads_ahead):
    report = segment(cases, Marker(reads_ahead))
    assert report.written == ["a", "b", "c"]
    for seed, name in enumerate("abc"):
        np.testing.assert_array_equal(labels(tmp_path, name).array, bright(seed))
        np.testing.assert_array_equal(labels(tmp_path, name).affine, AFFINE)
    assert files(tmp_path) == ["a.nii.gz", "b.nii.gz", "c.nii.gz", "run.json"]


@pytest.mark.parametrize("ahead", [1, 4])
def test_as_many_cases_are_read_ahead_as_there_is_memory_for(segment, cases, tmp_path, ahead):
    many = [replace(cases[0], name=f"case{number}") for number in range(8)]

    def look(count):
        if count == 0:
            folder = next((tmp_path / "out").glob(".segmenting-*"))
            until(lambda: len(list(folder.glob("*/image0"))) == 1 + ahead)

    assert len(segment(many, Marker(ahead, before=look)).written) == 8


def test_the_report_keeps_the_order_of_cases_that_end_in_another(segment, cases, monkeypatch):
    def backwards(*arguments):
        yield from sorted(overlapped(*arguments), key=lambda job: job.case.name, reverse=True)

    monkeypatch.setattr("pipeline.inference.cohort.overlapped", backwards)
    cases[0].images[0][0].write_bytes(b"")
    ended = []
    report = segment(cases, on_case=lambda _outcome, name: ended.append(name))
    assert ended == ["c", "b", "a"]
    assert (report.written, list(report.failed)) == (["b", "c"], ["a"])


def test_probabilities_are_written_beside(segment, cases, tmp_path):
    segment(cases[:1], probabilities=True)
    folder = tmp_path / "out" / "probabilities"
    found = {name: read_volume(folder / f"a_{name}.nii.gz") for name in Marker.task.classes}
    np.testing.assert_array_equal(found["structure"].array, bright(0))
    assert found["structure"].array.dtype == np.float32
    np.testing.assert_array_equal(found["structure"].affine, AFFINE)
    np.testing.assert_array_equal(found["background"].array, 1 - bright(0))


def test_probabilities_of_a_prediction_that_is_replaced_go_with_it(segment, cases, tmp_path):
    segment(cases[:1], probabilities=True)
    segment(cases[:1], overwrite=True)
    assert list((tmp_path / "out" / "probabilities").iterdir()) == []


def test_a_target_with_a_slash_in_its_name_has_a_probability_beside_the_others(
    segment, cases, tmp_path
):
    marker = Marker()
    marker.task = Task(("mri",), classes=("background", "left/lung"))
    segment(cases[:1], marker, probabilities=True)
    written = read_volume(tmp_path / "out" / "probabilities" / "a_left-lung.nii.gz")
    np.testing.assert_array_equal(written.array, bright(0))


def reports(folder):
    return sorted(path.name for path in (folder / "out" / "alignment").iterdir())


def test_the_report_of_an_alignment_is_that_of_the_prediction_beside_it(segment, cases, tmp_path):
    to_align = Align("grid", tmp_path / "out" / "alignment")
    aligned = [replace(case, align=to_align) for case in cases]
    failing = Marker(before=lambda count: 1 // (1 - count))  # the second case
    assert segment(aligned[:2], failing).written == ["a"]
    assert reports(tmp_path) == ["a.json"]
    segment(cases[:1], overwrite=True)
    assert reports(tmp_path) == []


def test_a_case_that_fails_to_be_made_again_keeps_what_made_it(segment, cases, tmp_path):
    segment(cases[:1])
    made = record(tmp_path)["cases"]["a"]
    content = cases[0].images[0][0].read_bytes()
    cases[0].images[0][0].write_bytes(b"")
    segment(cases[:1], overwrite=True)
    entry = record(tmp_path)["cases"]["a"]
    assert (entry["outcome"], entry["before"]) == ("failed", made)
    assert [run["started"] for run in record(tmp_path)["earlier"]] == [made["run"]]
    cases[0].images[0][0].write_bytes(content)
    segment(cases[:1])
    assert record(tmp_path)["cases"]["a"] == made


def test_what_a_killed_run_left_is_removed(segment, cases, tmp_path):
    killed = tmp_path / "out" / ".segmenting-killed"
    (killed / "0").mkdir(parents=True)
    segment(cases[:1])
    assert killed.exists()  # another machine may be at work, which the lock does not reach
    os.utime(killed, (0, 0))
    segment(cases[:1])
    assert files(tmp_path) == ["a.nii.gz", "run.json"]


def test_an_image_is_segmented_to_a_mask_that_one_can_see(segment, tmp_path):
    pixels = bright(0)[..., 2].astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    segment([Case("a", ((tmp_path / "a.png", None),))], probabilities=True)
    np.testing.assert_array_equal(Image.open(tmp_path / "out" / "a.png"), pixels * 255)
    assert (tmp_path / "out" / "probabilities" / "a_structure.tif").is_file()
    assert record(tmp_path)["cases"]["a"]["volumes_ml"] == {}


def test_a_case_that_ends_the_process_that_reads_it_is_one_failed_case(segment, cases, tmp_path):
    deadly = Deadly("b", cases[1].images, home=os.getpid())
    report = segment([cases[0], deadly, cases[2]])
    assert report.written == ["a", "c"]
    assert report.failed == {
        "b": "the process that read it ended with signal 9 (SIGKILL), as happens where memory "
        "runs out: try it again"
    }
    assert record(tmp_path)["cases"]["b"]["outcome"] == "failed"
    assert files(tmp_path) == ["a.nii.gz", "c.nii.gz", "run.json"]


def test_what_goes_wrong_in_the_network_fails_one_case(segment, cases, tmp_path):
    def fail_at_the_second(count):
        if count == 1:
            marker.count += 1
            raise UserError("it does not fit: take a smaller one")

    marker = Marker(before=fail_at_the_second)
    report = segment(cases, marker)
    assert report.failed == {"b": "it does not fit: take a smaller one"}
    assert report.written == ["a", "c"]
    assert list(record(tmp_path)["cases"]["b"]["times_s"]) == ["load"]


def test_predictions_that_exist_are_left_and_the_others_made(segment, cases, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.nii.gz").write_bytes(b"mine")
    told = []
    report = segment(cases, on_case=lambda outcome, name: told.append((name, outcome)))
    assert (report.written, report.existing) == (["a", "c"], ["b"])
    assert (tmp_path / "out" / "b.nii.gz").read_bytes() == b"mine"
    assert sorted(told) == [("a", "written"), ("b", "left"), ("c", "written")]


def test_memory_is_given_back_after_the_last_case(segment, cases):
    segmenter = Marker()
    segment(cases, segmenter)
    assert segmenter.released_after == len(cases)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("heeded", "patient")
def test_an_interruption_leaves_what_is_finished_and_nothing_half_written(
    segment, cases, tmp_path, number
):
    def interrupt_at_the_third(count):
        if count == 2:
            os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt):
        segment(cases, Marker(before=interrupt_at_the_third))
    content = record(tmp_path)
    assert content["ended"] is None
    assert sorted(content["cases"]) == ["a", "b"]
    assert files(tmp_path) == ["a.nii.gz", "b.nii.gz", "run.json"]
    np.testing.assert_array_equal(labels(tmp_path, "b").array, bright(1))


def test_a_case_says_what_its_windows_and_volumes_are(segment, cases, tmp_path):
    segment(cases[:1])
    entry = record(tmp_path)["cases"]["a"]
    assert entry["windows"] == [
        {
            "count": 1,
            "skipped": 0,
            "size": [8, 8, 8],
            "volume": [7, 6, 5],
            "computed_over_needed": round(512 / 210, 3),
        }
    ]
    assert entry["volumes_ml"] == {"structure": round(bright(0).sum() * 9 / 1000, 4)}
    assert (entry["times_s"]["network"], record(tmp_path)["times_s"]["network"]) == (1.0, 1.0)


def test_a_case_that_was_refused_before_is_recorded(segment, cases, tmp_path):
    report = segment(cases[:1], refused={"z": "case z has no mri image: add it"})
    assert report.failed == {}
    (found,) = record(tmp_path)["cases"]["z"]["findings"]
    assert found == {"code": "missing-file", "sentence": "case z has no mri image: add it"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_case_is_never_taken_for_its_own_prediction(segment, cases, tmp_path, overwrite):
    folder = tmp_path / "out"
    folder.mkdir()
    path = shutil.copy(cases[0].images[0][0], folder / "a.nii.gz")
    before = Path(path).read_bytes()
    mine = replace(cases[0], images=((Path(path), None),))
    with pytest.raises(UserError, match="prediction of a would replace one: choose another output"):
        segment([mine, cases[1]], overwrite=overwrite)
    assert files(tmp_path) == ["a.nii.gz"]
    assert Path(path).read_bytes() == before


def test_a_link_to_itself_fails_its_case_alone(segment, cases, tmp_path):
    loop = tmp_path / "loop.nii"
    loop.symlink_to(loop)
    report = segment([replace(cases[0], images=((loop, None),)), cases[1]])
    assert report.written == ["b"]
    assert "loop.nii" in report.failed["a"]


def test_a_record_that_takes_long_to_write_is_complete_in_the_end(
    segment, cases, tmp_path, monkeypatch
):
    seconds = [0.0]

    def slowly(path, content):
        seconds[0] += 0.5  # so that the next one is due ten seconds later
        write_json(path, content)

    monkeypatch.setattr("pipeline.inference.manifest.perf_counter", lambda: seconds[0])
    monkeypatch.setattr("pipeline.inference.manifest.write_json", slowly)
    told = []
    segment(cases, on_case=lambda *_: told.append(len(record(tmp_path)["cases"])))
    assert told == [0, 0, 0]
    assert len(record(tmp_path)["cases"]) == len(cases) == 3
    assert record(tmp_path)["ended"] is not None


def test_a_report_is_plain_data(segment, cases):
    assert json.loads(json.dumps(asdict(segment(cases[:1]))))["written"] == ["a"]
