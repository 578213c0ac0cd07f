"""The folder of the predictions: of one at a time, writable, with usual permissions."""

import fcntl
import os
import stat

import pytest

from pipeline.errors import UserError


def test_a_folder_is_of_one_segmentation_at_a_time(segment, cases, tmp_path):
    (tmp_path / "out").mkdir()
    other = os.open(tmp_path / "out", os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(UserError, match=r"another segment is at work in .*: choose another output"):
        segment(cases)
    assert list((tmp_path / "out").iterdir()) == []
    os.close(other)
    assert segment(cases).written == ["a", "b", "c"]


def test_a_folder_that_cannot_be_written_is_told_at_once(segment, cases, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*: choose another output"):
        segment(cases)


def test_a_prediction_that_cannot_be_put_in_its_place_is_one_failed_case(segment, cases, tmp_path):
    (tmp_path / "out" / "a.nii.gz" / "folder").mkdir(parents=True)
    report = segment(cases, overwrite=True)
    assert "cannot write" in report.failed["a"]
    assert report.written == ["b", "c"]


def test_files_have_the_permissions_of_any_new_file(segment, cases, tmp_path):
    segment(cases[:1])
    (tmp_path / "new").touch()
    own, usual = (
        stat.S_IMODE(path.stat().st_mode)
        for path in (tmp_path / "out" / "a.nii.gz", tmp_path / "new")
    )
    assert own == usual
