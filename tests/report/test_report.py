import json
import re
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from pipeline.data.volumes import Volume, read_volume, write_volume
from pipeline.evaluation.report.cases import _median
from pipeline.evaluation.report.embedding import Placed
from pipeline.evaluation.report.outliers import modified_z, unusual
from pipeline.evaluation.report.thumbnails import write_picture
from pipeline.pictures.scenes import intensity_window

CASES = ("phantom-000", "phantom-001", "phantom-002")


def label_of(cohort: Path, case: str) -> Path:
    return cohort / case / f"{case}-seg.nii.gz"


def predict(cohort: Path, folder: Path, cases: tuple[str, ...] = CASES) -> Path:
    """Predictions without the front quarter of the tumour."""
    for case in cases:
        label = read_volume(label_of(cohort, case))
        array = label.array.astype(np.uint8)
        inside = np.flatnonzero(array.any(axis=(0, 2)))
        array[:, inside[-len(inside) // 4] :] = 0
        write_volume(folder / f"{case}.nii.gz", array, label.header)
    return folder


def texts(report: Path) -> dict[str, str]:
    own = [path for path in report.rglob("*") if path.suffix in (".html", ".json", ".csv")]
    return {path.relative_to(report).as_posix(): path.read_text() for path in own}


def test_a_report_has_a_page_a_case_and_all_that_they_show(
    cohort: Path, tmp_path: Path, unet_bundles: Any
) -> None:
    predictions = predict(cohort, tmp_path / "predictions")
    report = tmp_path / "report"
    given = ["--predictions", predictions, "--images", cohort, "--output", report]

    status, out, _ = unet_bundles("report", *given, "--references", cohort)

    assert status == 0
    assert out == f"report of 3 cases: {report / 'index.html'}\n"
    for case in CASES:
        names = {path.name for path in (report / "volumes" / case).iterdir()}
        assert names == {"prediction.js", "reference.js", *(f"image{i}.js" for i in range(4))}
        page = (report / "cases" / f"{case}.html").read_text()
        for link in re.findall(r'(?:src|href)="([^"#]+)"', page):
            assert link.startswith("data:") or (report / "cases" / link).is_file(), link


def test_the_worst_case_comes_first(cohort: Path, tmp_path: Path, unet_bundles: Any) -> None:
    predictions = predict(cohort, tmp_path / "predictions")
    label = read_volume(label_of(cohort, "phantom-001"))
    nothing = np.zeros(label.array.shape, np.uint8)
    write_volume(predictions / "phantom-001.nii.gz", nothing, label.header)
    report = tmp_path / "report"
    given = ["--predictions", predictions, "--images", cohort, "--output", report]

    unet_bundles("report", *given, "--references", cohort)

    order = re.findall(
        r'<th scope="row"><a href="cases/([\w-]+).html">', texts(report)["index.html"]
    )
    assert order[0] == "phantom-001"


def test_without_references_volumes_are_shown(
    cohort: Path, tmp_path: Path, unet_bundles: Any
) -> None:
    predictions = predict(cohort, tmp_path / "predictions")
    report = tmp_path / "report"
    given = ["--predictions", predictions, "--images", cohort, "--output", report]

    status, _, _ = unet_bundles("report", *given, "--labels", "brats2023")

    assert status == 0
    assert "predicted volume" in texts(report)["index.html"]
    assert "Dice" not in texts(report)["index.html"]
    predicted = read_volume(predictions / "phantom-000.nii.gz")
    voxel_ml = abs(np.linalg.det(predicted.affine[:3, :3])) / 1000
    whole_ml = np.count_nonzero(predicted.array) * voxel_ml
    assert f"<td>{whole_ml:.2f}</td>" in texts(report)["cases/phantom-000.html"]


def test_a_case_without_prediction_is_told_and_the_others_are_shown(
    cohort: Path, tmp_path: Path, unet_bundles: Any
) -> None:
    predictions = predict(cohort, tmp_path / "predictions", CASES[:2])
    report = tmp_path / "report"
    given = ["--predictions", predictions, "--images", cohort, "--output", report]

    status, _, err = unet_bundles("report", *given, "--references", cohort)

    assert status == 1
    assert "failed: phantom-002: no prediction phantom-002.nii.gz" in err
    assert "no prediction phantom-002.nii.gz" in texts(report)["index.html"]
    assert not (report / "cases" / "phantom-002.html").exists()


def test_no_folder_is_in_the_report(cohort: Path, tmp_path: Path, unet_bundles: Any) -> None:
    predictions = predict(cohort, tmp_path / "of Jane Doe", CASES[:2])
    record = {
        "task": {"modalities": ["flair", "t1", "t1c", "t2"], "regions": ["TC", "WT", "ET"]},
        "labels": "brats2023",
        "parameters": {"checkpoint": "/home/jane/runs/best.safetensors"},
        "cases": {
            "phantom-002": {
                "outcome": "failed",
                "findings": [{"code": "cut", "sentence": f"{cohort}/Jane/x.nii is cut: mend it"}],
            }
        },
    }
    (predictions / "run.json").write_text(json.dumps(record))
    report = tmp_path / "report"
    given = ["--predictions", predictions, "--images", cohort, "--output", report]

    unet_bundles("report", *given, "--references", cohort)

    written = texts(report)
    assert "best.safetensors" in written["index.html"]
    for name, text in written.items():
        for secret in (str(tmp_path), str(cohort), "/home", "jane", "Jane"):
            assert secret not in text, (name, secret)


def test_names_are_escaped(cohort: Path, tmp_path: Path, unet_bundles: Any) -> None:
    name = "<script>alert(1)<&'#%"
    images = tmp_path / "images" / name
    images.mkdir(parents=True)
    for path in (cohort / CASES[0]).iterdir():
        (images / path.name.replace(CASES[0], name)).write_bytes(path.read_bytes())
    predictions = predict(cohort, tmp_path / "predictions", CASES[:1])
    (predictions / f"{CASES[0]}.nii.gz").rename(predictions / f"{name}.nii.gz")
    report = tmp_path / "report"
    given = ["--predictions", predictions, "--images", tmp_path / "images", "--output", report]

    status, _, err = unet_bundles("report", *given, "--references", tmp_path / "images")

    assert status == 0, err
    for file, text in texts(report).items():
        assert "<script>alert" not in text or file.endswith((".json", ".csv")), file
    page = (report / "cases" / f"{name}.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;&amp;&#39;#%" in page


def test_another_folder_is_never_replaced(cohort: Path, tmp_path: Path, unet_bundles: Any) -> None:
    predictions = predict(cohort, tmp_path / "predictions", CASES[:1])
    given = ["--predictions", predictions, "--images", cohort]

    status, _, err = unet_bundles("report", *given, "--output", predictions)

    assert status == 2
    assert "exists and is no report" in err
    assert [path.name for path in predictions.iterdir()] == ["phantom-000.nii.gz"]


def test_nothing_is_left_of_a_report_that_cannot_be_made(
    cohort: Path, tmp_path: Path, unet_bundles: Any
) -> None:
    (tmp_path / "predictions").mkdir()
    given = ["--predictions", tmp_path / "predictions", "--images", cohort]

    status, _, err = unet_bundles(
        "report", *given, "--output", tmp_path / "report", "--labels", "brats2023"
    )

    assert status == 2
    assert "no case can be shown" in err
    assert [path.name for path in tmp_path.iterdir()] == ["predictions"]


def test_a_value_far_from_the_median_is_unusual() -> None:
    # median 3, median absolute deviation 1: (23 - 3) / 1 * 0.6745 = 13.49
    assert modified_z([1, 2, 3, 4, 23]).round(2).tolist() == [-1.35, -0.67, 0, 0.67, 13.49]
    # of cube roots: 1, 2, 3, 4 and 23
    volumes = {f"case{i}": {"WT": float(root**3)} for i, root in enumerate([1, 2, 3, 4, 23])}
    notes = unusual(volumes, {})
    assert notes == {"case4": ["predicted WT has an unusual volume, 12167.0 ml (z +13.5)"]}


@pytest.mark.parametrize("values", [[1.0, 1.0, 100.0], [5.0] * 9])
def test_few_or_equal_values_are_not_unusual(values: list[float]) -> None:
    assert not modified_z(values).any()


def test_a_2d_image_is_shown_as_it_is_seen(tmp_path: Path) -> None:
    pixels = np.zeros((60, 120), np.uint8)
    pixels[4:10, 4:60] = 200  # a bar at the top left
    Image.fromarray(pixels).save(tmp_path / "scan.png")
    placed = Placed.of(tmp_path / "scan.png", read_volume(tmp_path / "scan.png"))
    write_picture(tmp_path / "out.png", placed, {"prediction": placed}, (0, 0, 0), {})
    shown = np.asarray(Image.open(tmp_path / "out.png").convert("L"))
    rows, columns = np.argwhere(shown > 100).mean(axis=0) / shown.shape
    assert shown.shape[1] == 2 * shown.shape[0]
    assert (rows, columns) == pytest.approx((7 / 60, 32 / 120), abs=0.02)


def test_a_channel_of_a_vector_image_is_a_volume(tmp_path: Path) -> None:
    array = np.arange(24.0).reshape(2, 3, 2, 1, 2)
    volume = Volume(array, nib.Nifti1Image(array, np.eye(4)).header)
    placed = Placed.of(tmp_path / "a.nii", volume, 1)
    np.testing.assert_array_equal(placed.array, array[..., 0, 1])


def test_what_cannot_be_written_is_told_before_cases_are_scored(
    cohort: Path, tmp_path: Path, unet_bundles: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions = predict(cohort, tmp_path / "predictions", CASES[:1])
    (tmp_path / "file").write_text("")
    (tmp_path / "disk").mkdir()
    monkeypatch.setattr("os.path.ismount", lambda path: Path(path) == tmp_path / "disk")
    given = ["--predictions", predictions, "--images", cohort, "--references", tmp_path / "nope"]
    for output, told in (
        (tmp_path / "file/report", "cannot write"),
        (tmp_path / "disk", "is a disk of its own: name a folder in it"),
    ):
        status, _, err = unet_bundles("report", *given, "--output", output)
        assert status == 2
        assert told in err


def test_intensities_of_a_case_do_not_count_what_is_not_a_number() -> None:
    image = np.array([0, 1, 2, 3, np.nan, np.inf])
    low, high = intensity_window(image)
    assert (low, high) == (0.0, pytest.approx(2.99))
    assert _median(image) == 2
