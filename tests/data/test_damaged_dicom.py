"""DICOM series that lack part of a file."""

import pytest

from pipeline.data.cohorts import find_cohort
from pipeline.data.volumes import read_volume
from pipeline.errors import UserError
from tests.data.dicom_files import PATIENT, FakeSeries
from tests.data.test_dicom import FLAIR


@pytest.mark.parametrize("missing", [2, 30, 300])
def test_a_damaged_slice_is_refused_without_path(tmp_path, missing):
    folder = FakeSeries(size=(9, 8)).write(tmp_path / PATIENT)
    path = folder / "IM97.dcm"  # the last slice, whose absence would leave no gap
    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(UserError, match=r"series 1 of case dicom-\w+ .*damaged") as error:
        read_volume(min(folder.iterdir()))
    assert PATIENT not in str(error.value)


@pytest.mark.parametrize("length", [0, 131])
def test_a_slice_without_its_beginning_is_refused_without_path(tmp_path, length):
    folder = FakeSeries().write(tmp_path / PATIENT)
    last = max(folder.iterdir())
    last.write_bytes(last.read_bytes()[:length])
    (text,) = find_cohort(tmp_path, FLAIR).refused.values()
    assert "lies beside a damaged file: copy its folder again" in text
    assert PATIENT not in text


def test_a_short_note_beside_slices_is_no_damage(tmp_path):
    folder = FakeSeries().write(tmp_path / "a")
    (folder / "note.txt").write_text("T1 before contrast")
    assert len(find_cohort(tmp_path, FLAIR).cases) == 1
