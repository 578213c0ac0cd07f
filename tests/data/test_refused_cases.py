"""Refused cases in a cohort that is segmented, and in one that is trained on."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.data.phantom import write_cohort
from tests.conftest import TINY


def link(source: Path, folder: Path) -> Path:
    """A case whose files are those of ``source``, named as the folder."""
    folder.mkdir(parents=True)
    for path in source.iterdir():
        (folder / path.name.replace(source.name, folder.name)).symlink_to(path)
    return folder


def replace(case: Path, content: bytes) -> None:
    """Put ``content`` in the place of the case's T1."""
    path = case / f"{case.name}-t1n.nii.gz"
    path.unlink()
    path.write_bytes(content)


def spoil(case: Path, number: int) -> None:
    """Damage the T1 of a case in one of seven ways."""
    path = case / f"{case.name}-t1n.nii.gz"
    content = path.read_bytes()
    if number == 0:
        path.unlink()
    elif number == 1:
        path.unlink()
        path.mkdir()
    elif number == 2:
        path.unlink()
        path.symlink_to(path.name)
    else:
        replace(case, (b"", content[:-4], b"PK\x03\x04" + content, content + b"more")[number - 3])


@pytest.mark.slow
def test_a_hundred_cases_of_which_seven_are_bad(unet_bundles, run, tmp_path):
    (name,) = write_cohort(tmp_path / "source", 1, shape=(16, 16, 16))
    cases = [
        link(tmp_path / "source" / name, tmp_path / "cases" / f"case-{index:03d}")
        for index in range(100)
    ]
    bad = cases[5:100:14]
    for number, case in enumerate(bad):
        spoil(case, number)
    assert len(bad) == 7
    arguments = ("--images", tmp_path / "cases", "--output", tmp_path / "out", "--json")
    status, out, err = unet_bundles("segment", run, *arguments)
    report = json.loads(out)
    assert status == 1
    assert sorted(report["failed"]) == sorted(case.name for case in bad)
    assert [text for text in report["failed"].values() if len(text.splitlines()) != 1] == []
    assert len([line for line in err.splitlines() if line.startswith("failed: ")]) == 7
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 93
    assert "Traceback" not in err


@pytest.fixture
def four_cases(cohort, tmp_path):
    """Four phantoms: two whole, one with a damaged image, one without an image."""
    sources = sorted(cohort.iterdir())
    cases = [link(sources[i % 2], tmp_path / "cases" / f"case-{i}") for i in range(4)]
    spoil(cases[2], 4)
    spoil(cases[3], 0)
    return tmp_path / "cases"


def test_a_training_stops_at_a_refused_case_before_it_starts(unet_bundles, four_cases, tmp_path):
    shutil.rmtree(four_cases / "case-3")
    arguments = ("train", "unet3d", "--data", four_cases, "--output", tmp_path / "run")
    status, _, err = unet_bundles(*arguments, "--set", *TINY)
    assert status == 2
    assert "case-2-t1n.nii.gz is damaged" in err
    assert "--skip-refused" in err
    assert not (tmp_path / "run").exists()


def test_a_training_without_any_case_that_is_not_refused_says_so(
    unet_bundles, four_cases, tmp_path
):
    for name in ("case-0", "case-1", "case-3"):
        shutil.rmtree(four_cases / name)
    arguments = ("train", "unet3d", "--data", four_cases, "--output", tmp_path / "run")
    status, _, err = unet_bundles(*arguments, "--skip-refused", "--set", *TINY)
    assert status == 2
    assert "all 1 cases with a label under" in err


def test_a_training_can_go_on_without_the_refused_cases(unet_bundles, four_cases, tmp_path):
    arguments = ("train", "unet3d", "--data", four_cases, "--output", tmp_path / "run")
    settings = (*TINY, "max_epochs=1", "val_interval=1")
    status, _, err = unet_bundles(*arguments, "--skip-refused", "--set", *settings)
    assert status == 0
    assert "skipped case-2: " in err
    assert "skipped case-3: case case-3 under" in err
    split = json.loads((tmp_path / "run" / "split.json").read_text())
    assert sorted(split["train"] + split["validation"]) == ["case-0", "case-1"]
