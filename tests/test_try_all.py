"""Every bundle on real cases, by the script that a user tries them with."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.real_data
def test_every_bundle_trains_evaluates_and_segments_real_cases(real_data, tmp_path):
    ended = subprocess.run(
        [
            *(sys.executable, ROOT / "scripts/try_all.py", "--output", tmp_path / "out"),
            *("--data", real_data / "brats2018", "--hippocampus", real_data / "hippocampus"),
            *("--epochs", "1", "--cases", "2"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    rows = ended.stdout.strip().splitlines()[2:]
    bundles = [path.name for path in (ROOT / "bundles").iterdir() if (path / "configs").is_dir()]
    assert sorted(row.split("|")[1].strip() for row in rows) == sorted(bundles)


def test_a_folder_that_the_script_did_not_make_is_left(tmp_path):
    home = tmp_path / "unet3d"
    home.mkdir()
    (home / "split.json").write_text("{}")  # as in the folder of a run
    ended = subprocess.run(
        [
            *(sys.executable, ROOT / "scripts/try_all.py", "--data", tmp_path),
            *("--bundles", "unet3d", "--output", tmp_path),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert f"{home} has no .try_all: remove it, or choose another --output" in ended.stderr
    assert (home / "split.json").is_file()
