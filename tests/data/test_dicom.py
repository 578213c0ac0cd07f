"""DICOM series become volumes; what is no volume is refused by name."""

import locale
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from pipeline.data.cohorts import find_cohort, find_labels, single_case
from pipeline.data.dicom import Series
from pipeline.data.slices import Slice
from pipeline.data.volumes import read_header, read_volume
from pipeline.errors import UserError
from pipeline.tasks import Task
from tests.data.dicom_files import AXIAL, PATIENT, FakeSeries, write_study

GLIOMA = Task(("flair", "t1", "t1c", "t2"), regions=("TC", "WT", "ET"))
FLAIR = Task(("flair",), regions=("WT",))


def test_slices_are_sorted_by_place_and_not_by_name(tmp_path):
    folder = FakeSeries().write(tmp_path)
    volume = read_volume(min(folder.iterdir()))
    assert volume.array.shape == (5, 4, 4)
    assert volume.array[2, 2].tolist() == [100, 200, 300, 400]
    assert volume.array[1, 0].tolist() == [7, 7, 7, 7]


def test_the_affine_is_that_of_the_positions_in_ras(tmp_path):
    folder = FakeSeries().write(tmp_path)
    volume = read_volume(min(folder.iterdir()))
    # LPS (10, 20, 30) is RAS (-10, -20, 30); rows step 0.5 mm along L, columns 0.75 mm along P.
    expected = [[-0.5, 0, 0, -10], [0, -0.75, 0, -20], [0, 0, 2, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(volume.affine, expected, atol=1e-6)
    np.testing.assert_array_equal(read_header(min(folder.iterdir())).get_sform(), volume.affine)


def test_reading_leaves_the_locale_of_the_process(tmp_path):
    folder = FakeSeries().write(tmp_path)
    before = locale.setlocale(locale.LC_ALL)
    read_volume(min(folder.iterdir()))
    assert locale.setlocale(locale.LC_ALL) == before


def test_an_oblique_series_lies_where_another_reader_places_it(tmp_path):
    angle = np.deg2rad(20)
    row, column = (1, 0, 0), (0, np.cos(angle), -np.sin(angle))
    normal = np.cross(row, column)
    positions = [tuple((np.array([10, 20, 30]) + 2 * i * normal).round(6)) for i in range(4)]
    orientation = tuple(np.round((*row, *column), 6))
    folder = FakeSeries(positions=positions, orientations=[orientation] * 4).write(tmp_path)
    volume = read_volume(min(folder.iterdir()))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    other = reader.Execute()
    point = np.array(other.TransformIndexToPhysicalPoint((4, 3, 2))) * (-1, -1, 1)
    np.testing.assert_allclose(volume.affine @ (4, 3, 2, 1), (*point, 1), atol=1e-3)


def test_a_study_is_a_case_named_by_a_stable_pseudonym(tmp_path):
    cohort = find_cohort(write_study(tmp_path / PATIENT), GLIOMA)
    again = find_cohort(write_study(tmp_path / "elsewhere"), GLIOMA)
    (case,) = cohort.cases
    assert cohort.layout == "dicom"
    assert case.name.startswith("dicom-")
    assert PATIENT not in case.name
    assert "ID-77" not in case.name
    assert case.name == again.cases[0].name
    assert [path.parent.name[-1] for path, _ in case.images] == ["1", "2", "3", "4"]


def test_series_of_one_folder_are_told_apart(tmp_path):
    for number, description in enumerate(("FLAIR", "T2"), start=1):
        series = FakeSeries(number, description)
        series.write(tmp_path / "apart")
        for path in (tmp_path / "apart").iterdir():
            path.rename(tmp_path / f"{number}-{path.name}")
    (case,) = find_cohort(tmp_path, Task(("flair", "t2"), regions=("WT",))).cases
    assert [path.name[0] for path, _ in case.images] == ["1", "2"]
    assert read_volume(case.images[1][0]).array.shape == (5, 4, 4)


def test_another_study_is_another_case(tmp_path):
    write_study(tmp_path / "a", study="1.2.3")
    write_study(tmp_path / "b", study="1.2.4")
    assert len(find_cohort(tmp_path, GLIOMA).cases) == 2


SPOILT = {
    "gap": (
        {"positions": [(10, 20, z) for z in (30, 32, 36, 38)]},
        "has a gap: slices are 2.00 mm apart, but 4.00 mm after slice 2",
    ),
    "orientations": (
        {"orientations": [AXIAL] * 3 + [(0, 1, 0, 0, 0, 1)]},
        "has slices of mixed orientation",
    ),
    "one place": (
        {"positions": [(10, 20, z) for z in (30, 32, 32, 34)]},
        "has several images at one place",
    ),
    "tilt": (
        {"positions": [(10, 20 + z, 30 + 2 * z) for z in range(4)]},
        "has slices that are shifted against each other",
    ),
}


@pytest.mark.parametrize(("changes", "sentence"), SPOILT.values(), ids=SPOILT.keys())
def test_what_is_no_volume_is_refused_by_name_and_without_path(tmp_path, changes, sentence):
    folder = FakeSeries(**changes).write(tmp_path / PATIENT)
    cohort = find_cohort(tmp_path, FLAIR)
    ((name, told),) = cohort.refused.items()
    assert f"series 1 of case {name} {sentence}" in told
    assert PATIENT not in told
    assert not cohort.cases
    with pytest.raises(UserError, match=sentence.split(":")[0]):
        read_volume(min(folder.iterdir()))


def test_a_series_that_is_not_needed_may_be_no_volume(tmp_path):
    FakeSeries(1, "FLAIR").write(tmp_path / "flair")
    FakeSeries(2, "T2", positions=[(0, 0, z) for z in (0, 1, 5, 6)]).write(tmp_path / "t2")
    assert len(find_cohort(tmp_path, FLAIR).cases) == 1


def test_two_series_of_one_modality_are_not_guessed_between(tmp_path):
    for number in (4, 7):
        FakeSeries(number, "FLAIR").write(tmp_path / str(number))
    (told,) = find_cohort(tmp_path, FLAIR).refused.values()
    assert "has several flair series (4 and 7)" in told
    case = single_case({"flair": tmp_path / "7"}, FLAIR)
    assert case.images[0][0].parent == tmp_path / "7"


def test_a_missing_modality_is_told_without_path(tmp_path):
    FakeSeries(1, "FLAIR").write(tmp_path / PATIENT)
    (told,) = find_cohort(tmp_path, GLIOMA).refused.values()
    assert "has no t1 series" in told
    assert PATIENT not in told


def test_private_paths_leave_what_is_told_of_a_case(tmp_path):
    (case,) = find_cohort(write_study(tmp_path / PATIENT), GLIOMA).cases
    text = case.without_paths(f"{case.images[0][0]} and {case.images[1][0]} differ")
    assert text == f"{case.name} and {case.name} differ"


def test_no_file_below_a_private_folder_leaves_what_is_told(tmp_path):
    folder = FakeSeries().write(tmp_path / PATIENT)
    spaced = folder / f"{PATIENT}, copy (2).dcm"
    (folder / "IM97.dcm").rename(spaced)
    (case,) = find_cohort(tmp_path, FLAIR).cases
    inner = folder / "inner" / f"{PATIENT}.dcm"
    assert case.without_paths(f"no {spaced}: copy it") == f"no {case.name}: copy it"
    assert case.without_paths(f"'{inner}' is gone") == f"'{case.name}' is gone"


def one_file(folder):
    """A DICOM file that is named after the patient, as it lies beside others."""
    file = min(FakeSeries().write(folder).iterdir())
    return file.rename(folder / f"{PATIENT}_flair.dcm")


def listed_file(root):
    file = one_file(root / "slices")
    (root / "cases.csv").write_text(f"case,flair\n{PATIENT},slices/{file.name}\n")
    return find_cohort(root, FLAIR).cases


def matched_file(root):
    one_file(root)
    return find_cohort(root, FLAIR, "pattern:{case}_{modality}.dcm").cases


@pytest.mark.parametrize(
    "find",
    [lambda root: (single_case({"flair": one_file(root)}, FLAIR),), listed_file, matched_file],
    ids=["alone", "in a list", "by a pattern"],
)
def test_a_dicom_file_makes_a_case_private_however_it_is_given(tmp_path, find):
    (case,) = find(tmp_path)
    (expected,) = find_cohort(write_study(tmp_path / "study") / f"{PATIENT}-1", FLAIR).cases
    assert (case.private, case.name) == (True, expected.name)
    assert case.without_paths(str(case.images[0][0])) == case.name


def test_a_file_that_is_no_slice_hides_its_name_too(tmp_path):
    file = one_file(tmp_path)
    file.write_bytes(file.read_bytes()[:140])
    case = single_case({"flair": file}, FLAIR)
    assert case.private
    assert PATIENT not in case.name


def test_a_refused_row_of_a_list_hides_the_patient(tmp_path):
    file = one_file(tmp_path / "slices")
    row = f"{PATIENT},slices/{file.name},{PATIENT}.dcm"
    (tmp_path / "cases.csv").write_text(f"case,flair,t1\n{row}\n")
    cohort = find_cohort(tmp_path, Task(("flair", "t1"), regions=("WT",)))
    ((name, told),) = cohort.without_paths(cohort.refused).items()
    assert name.startswith("dicom-")
    assert "has no file" in told
    assert PATIENT not in told
    assert str(tmp_path) not in told


def test_two_rows_of_one_study_are_not_one_case(tmp_path):
    file = one_file(tmp_path / "slices")
    rows = [f"{name},slices/{file.name}" for name in ("a", "b")]
    (tmp_path / "cases.csv").write_text("\n".join(["case,flair", *rows]))
    with pytest.raises(UserError, match=r"several cases in .*cases\.csv are of the DICOM study"):
        find_cohort(tmp_path, FLAIR)


def test_a_label_of_a_list_is_found_by_the_pseudonym(tmp_path):
    file = one_file(tmp_path / "slices")
    (tmp_path / "label.nii").touch()
    row = f"{PATIENT},slices/{file.name},label.nii"
    (tmp_path / "cases.csv").write_text(f"case,flair,label\n{row}\n")
    (case,) = find_cohort(tmp_path, FLAIR).cases
    assert find_labels(tmp_path)[0] == {case.name: tmp_path / "label.nii"}


def test_studies_without_any_identifier_are_told_apart_by_their_folders():
    def unnamed(folder, **tags):
        one = Slice(Path(folder, "IM1"), (0, 0, 0), AXIAL, (5, 4), (1, 1), 2)
        return Series({"study": "", "patient": ""} | tags, (one,)).case

    assert unnamed("/a") == unnamed("/a")
    assert unnamed("/a") != unnamed("/b")
    assert unnamed("/a", patient="7") == unnamed("/b", patient="7")
    assert unnamed("/a", study="1.2") == unnamed("/b", study="1.2")


def test_a_folder_beside_a_file_ends_in_a_sentence(tmp_path):
    folder = FakeSeries().write(tmp_path / "series")
    (tmp_path / "t1.nii.gz").touch()
    files = {"flair": folder, "t1": tmp_path / "t1.nii.gz"}
    with pytest.raises(UserError, match=r"t1\.nii\.gz is no folder and .*series is one"):
        single_case(files, Task(("flair", "t1"), regions=("WT",)))


def test_a_series_above_the_limit_is_refused_without_path(tmp_path, set_limit):
    path = min(FakeSeries().write(tmp_path / PATIENT).iterdir())
    set_limit(8 * 80)  # 5 x 4 x 4 voxels of at most 8 bytes
    assert read_volume(path).array.size == 80
    set_limit(8 * 79)
    with pytest.raises(UserError, match="has 80 voxels, and 79 are the limit") as error:
        read_volume(path)
    assert PATIENT not in str(error.value)


@pytest.mark.real_data
def test_the_real_study_is_one_case_on_one_grid(real_data):
    cohort = find_cohort(real_data / "dicom", GLIOMA)
    (case,) = cohort.cases
    found = [path.parent.name.split("-")[1] for path, _ in case.images]
    assert found == ["FLAIRreg", "T1prereg", "T1post", "T2reg"]
    first, *others = (read_volume(path) for path, _ in case.images)
    assert first.array.shape == (280, 320, 22)
    np.testing.assert_allclose(first.spacing, (0.6875, 0.6875, 6.5), atol=1e-4)
    for other in others:
        np.testing.assert_allclose(other.affine, first.affine, atol=1e-4)
