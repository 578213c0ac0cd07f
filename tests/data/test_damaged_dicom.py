"""DICOM series that lack part of a file."""

import pytest

from pipeline.data.cohorts import find_cohort
from pipeline.data.conversion import convert
from pipeline.data.layouts.dicom import find
from pipeline.data.volumes import read_volume
from pipeline.errors import UserError
from tests.data.dicom_files import AXIAL, PATIENT, FakeSeries
from tests.data.test_cohorts import close
from tests.data.test_dicom import FLAIR


@pytest.mark.parametrize("missing", [2, 30, 300])
def test_a_damaged_slice_is_refused_without_path(tmp_path, missing):
    folder = FakeSeries(size=(9, 8)).write(tmp_path / PATIENT)
    path = folder / "IM97.dcm"  # the last slice, whose absence would leave no gap
    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(UserError, match=r"series 1 of case dicom-\w+ .*damaged") as error:
        read_volume(min(folder.iterdir()))
    assert PATIENT not in str(error.value)


@pytest.mark.parametrize("length", [0, 131, 160, 195])
def test_a_slice_without_its_beginning_is_refused_without_path(tmp_path, length):
    folder = FakeSeries().write(tmp_path / PATIENT)
    last = max(folder.iterdir())
    last.write_bytes(last.read_bytes()[:length])
    (text,) = find_cohort(tmp_path, FLAIR).refused.values()
    assert "lies beside a damaged file: copy its folder again" in text
    assert PATIENT not in text


def test_a_file_of_several_frames_is_told_by_what_it_is(tmp_path):
    folder = FakeSeries(positions=[(0, 0, 0)], orientations=[AXIAL]).write(tmp_path / PATIENT)
    (path,) = folder.iterdir()
    rows, position = b"\x28\0\x10\0\2\0\0\0", b"\x20\0\x32\0"
    content = path.read_bytes()
    assert content.count(rows) == content.count(position) == 1
    content = content.replace(position, b"\x20\0\x31\0")  # frames have places of their own
    path.write_bytes(content.replace(rows, b"\x28\0\x08\0\2\0\0\0" + b"2 " + rows))
    (text,) = find_cohort(tmp_path, FLAIR).refused.values()
    assert "has files of several frames: convert it to NIfTI" in text


def test_a_short_note_beside_slices_is_no_damage(tmp_path):
    folder = FakeSeries().write(tmp_path / "a")
    (folder / f"._{min(folder.iterdir()).name}").write_bytes(b"hidden")
    assert len(find_cohort(tmp_path, FLAIR).cases) == 1
    for file in list(folder.iterdir()):
        file.rename(file.with_suffix(""))
    (folder / "VERSION").write_text("1.0")
    assert len(find_cohort(tmp_path, FLAIR).cases) == 1


@pytest.mark.parametrize(
    "names",
    [[f"MR.1.2.840.{number}" for number in range(4)], ["3f.dcm", "9b.dcm", "a1.dcm", "ee.dcm"]],
    ids=["numbers", "letters"],
)
def test_whatever_slices_are_named_a_cut_one_is_seen(tmp_path, names):
    folder = FakeSeries().write(tmp_path / "a")
    for name, file in zip(names, sorted(folder.iterdir()), strict=True):
        file.rename(folder / name)
    (folder / names[-1]).write_bytes(b"")
    (text,) = find_cohort(tmp_path, FLAIR).refused.values()
    assert "lies beside a damaged file" in text


@pytest.mark.parametrize("thickness", ["0", "-3", ""])
def test_one_slice_that_does_not_say_how_thick_it_is_is_refused(tmp_path, thickness):
    tags = {"0018|0050": thickness}
    FakeSeries(positions=[(0, 0, 0)], orientations=[AXIAL], tags=tags).write(tmp_path / PATIENT)
    (text,) = find_cohort(tmp_path, FLAIR).refused.values()
    assert "is one slice that does not say how thick it is" in text


def test_a_closed_folder_is_told_without_its_name(tmp_path, monkeypatch):
    FakeSeries().write(tmp_path / "a")
    (tmp_path / "ward 3" / PATIENT).mkdir(parents=True)
    close(monkeypatch, tmp_path / "ward 3" / PATIENT)
    cohort = find_cohort(tmp_path, FLAIR)
    ((name, text),) = cohort.refused.items()
    assert text.startswith(f"cannot list the folder of case {name} (Permission denied)")
    assert PATIENT not in text
    assert any(PATIENT in note for note in cohort.notes)
    listing = find(tmp_path)
    assert convert(listing.cases, tmp_path / "out")[1] == {name: [text]}


def test_a_kind_of_scanner_that_is_not_known_is_no_name_of_a_file(tmp_path):
    FakeSeries(description="x", tags={"0008|0060": "../../EVIL"}).write(tmp_path)
    ((case),) = find(tmp_path).cases
    assert case.files == {}


def test_a_series_that_does_not_say_how_large_its_pixels_are_is_refused(tmp_path):
    folder = FakeSeries().write(tmp_path / PATIENT)
    spacing = b"\x28\0\x30\0"
    for path in folder.iterdir():
        content = path.read_bytes()
        assert content.count(spacing) == 1
        path.write_bytes(content.replace(spacing, b"\x28\0\x32\0"))
    (text,) = find_cohort(tmp_path, FLAIR).refused.values()
    assert "does not say how large its pixels are" in text


def test_an_object_that_names_the_images_it_belongs_to_is_no_damage(tmp_path):
    folder = FakeSeries().write(tmp_path / "a")
    scan, other = b"1.2.840.10008.5.1.4.1.1.4\0", b"1.2.840.10008.5.1.4.1.1.66"  # raw data
    content = min(folder.iterdir()).read_bytes()
    assert content[:1024].count(scan) == 2  # what it is, and here what it belongs to
    content = content.replace(scan, other, 1).replace(b"\x20\0\x32\0", b"\x20\0\x31\0")
    (folder / "state.dcm").write_bytes(content)
    assert len(find_cohort(tmp_path, FLAIR).cases) == 1
