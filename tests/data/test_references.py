"""Label files are found by case, with or without their images."""

import pytest

from pipeline.data.cohorts import find_labels
from pipeline.errors import UserError
from tests.data.test_cohorts import BRATS2018, BRATS2023, touch, write_case
from tests.data.test_decathlon import write_msd


@pytest.mark.parametrize(
    ("endings", "convention"),
    [(BRATS2018, "brats2018"), (BRATS2023, "brats2023"), (("_mri", "_seg"), None)],
)
def test_references_are_found_beside_their_images(tmp_path, endings, convention):
    for name in ("a", "b"):
        write_case(tmp_path / name, endings)
    labels, found = find_labels(tmp_path)
    assert labels == {name: tmp_path / name / f"{name}{endings[-1]}.nii.gz" for name in ("a", "b")}
    assert found == convention


@pytest.mark.parametrize("cases", [["BraTS_001", "BraTS_002"], ["a"], ["BraTS-1-000", "x.1"]])
def test_references_in_a_flat_folder_are_named_by_their_files(tmp_path, cases):
    touch(*(tmp_path / f"{case}.nii.gz" for case in cases))
    assert find_labels(tmp_path) == ({c: tmp_path / f"{c}.nii.gz" for c in cases}, None)


def test_one_reference_with_an_ending_is_named_as_several_are(tmp_path):
    touch(tmp_path / "a_seg.nii.gz")
    assert find_labels(tmp_path) == ({"a": tmp_path / "a_seg.nii.gz"}, None)


def test_references_of_an_msd_folder_are_its_training_labels(tmp_path):
    write_msd(tmp_path, test=["./imagesTs/B_2.nii.gz"])
    assert find_labels(tmp_path)[0] == {"B_1": tmp_path / "labelsTr" / "B_1.nii.gz"}


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_a_folder_without_references_ends_in_a_sentence(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=f"no (folder|label under) .*{folder}"):
        find_labels(tmp_path / folder)
