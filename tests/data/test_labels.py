import nibabel as nib
import numpy as np
import pytest

from pipeline.data.labels import read_labels
from pipeline.errors import UserError
from pipeline.tasks import Task

GLIOMA = Task(("flair",), regions=("TC", "WT", "ET"))
LIVER = Task(("ct",), classes=("background", "liver", "tumour"))


def write(path, values, shape=(2, 2, 2), dtype=np.float32):
    array = np.resize(np.array(values, dtype=dtype), shape)
    nib.save(nib.Nifti1Image(array, np.diag([1.0, 2.0, 3.0, 1.0])), path)
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
def test_label_values_are_whole_numbers_whatever_the_type_of_the_file(tmp_path, dtype):
    path = write(tmp_path / "seg.nii.gz", [0, 1, 2, 4], dtype=dtype)
    labels = read_labels(path, GLIOMA, "brats2018")
    assert labels.array.dtype == np.uint8
    assert sorted(set(labels.array.ravel().tolist())) == [0, 1, 2, 4]
    assert labels.spacing == (1, 2, 3)


def test_a_trailing_axis_of_one_is_dropped(tmp_path):
    path = write(tmp_path / "seg.nii", [0, 1], shape=(2, 3, 4, 1))
    assert read_labels(path, GLIOMA, "brats2023").array.shape == (2, 3, 4)


@pytest.mark.parametrize(
    ("task", "convention", "value"),
    [
        (GLIOMA, "brats2018", 3),
        (GLIOMA, "brats2023", 4),
        (GLIOMA, "msd_brats", 4),
        (GLIOMA, "brats2023", 0.5),
        (GLIOMA, "brats2023", -1),
        (GLIOMA, "brats2023", np.nan),
        (LIVER, "classes", 3),
    ],
)
def test_a_value_unknown_to_the_convention_is_named_with_its_file(
    tmp_path, task, convention, value
):
    path = write(tmp_path / "a_seg.nii", [0, value])
    sentence = rf"a_seg\.nii holds the label value {value:g}, and the convention {convention}"
    with pytest.raises(UserError, match=sentence):
        read_labels(path, task, convention)


def test_values_that_no_convention_has_together_are_refused(tmp_path):
    path = write(tmp_path / "a_seg.nii", [0, 1, 2, 3, 4])
    sentence = "holds the label values 1, 2, 3, 4, and the convention brats2018 has only 0, 1, 2, 4"
    with pytest.raises(UserError, match=sentence):
        read_labels(path, GLIOMA, None)


def test_a_value_that_is_almost_whole_is_written_out(tmp_path):
    path = write(tmp_path / "a_seg.nii", [0, 1 - 6e-8])
    with pytest.raises(UserError, match=r"holds the label value 0\.9999999"):
        read_labels(path, GLIOMA, "brats2018")


def test_a_label_file_has_one_channel(tmp_path):
    path = write(tmp_path / "a_seg.nii", [0, 1], shape=(2, 2, 2, 3))
    with pytest.raises(UserError, match=r"a_seg\.nii has the shape \(2, 2, 2, 3\)"):
        read_labels(path, GLIOMA, "brats2023")


def test_a_label_without_any_tumour_is_a_label(tmp_path):
    assert not read_labels(write(tmp_path / "seg.nii", [0]), GLIOMA, "msd_brats").array.any()
