import re

import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.data.images2d import find_images, find_masks
from pipeline.data.loaders import record
from pipeline.errors import UserError
from pipeline.tasks import Task
from pipeline.transforms import LoadCase

TASK = Task(("pre", "flair", "post"), classes=("background", "tumour"))
GREY = np.arange(1, 16, dtype=np.uint8).reshape(5, 3)
RGB = np.stack([GREY, GREY + 100, GREY + 200], axis=-1)
MASK = (GREY > 9).astype(np.uint8) * 255


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, array, photometric="rgb" if array.ndim == 3 else "minisblack")
    else:
        Image.fromarray(array).save(path)
    return path


def names(cohort):
    return [case.name for case in cohort.cases]


@pytest.mark.parametrize("mask", ["masks/a.png", "masks/a_mask.tif"])
def test_images_and_masks_in_two_folders_are_cases(tmp_path, mask):
    image = save(tmp_path / "images/a.tif", RGB)
    save(tmp_path / "images/b.png", RGB)
    cohort = find_images(tmp_path, TASK)
    assert names(cohort) == ["a", "b"]
    assert cohort.cases[0].images == ((image, 0), (image, 1), (image, 2))
    assert not cohort.labelled
    label = save(tmp_path / mask, MASK)
    cohort = find_images(tmp_path, TASK)
    assert {name: case.label for name, case in cohort.labelled.items()} == {"a": label}
    assert cohort.convention == "classes"
    assert find_masks(tmp_path) == {"a": label}


def test_images_and_masks_in_one_folder_are_cases(tmp_path):
    save(tmp_path / "b.png", RGB)
    save(tmp_path / "a.png", RGB)
    label = save(tmp_path / "a_mask.png", MASK)
    cohort = find_images(tmp_path, TASK)
    assert names(cohort) == ["a", "b"]
    assert {name: case.label for name, case in cohort.labelled.items()} == {"a": label}
    assert find_masks(tmp_path) == {"a": label}


def test_a_folder_of_masks_alone_is_one_of_labels(tmp_path):
    first, second = save(tmp_path / "a.png", MASK), save(tmp_path / "b.png", MASK)
    assert find_masks(tmp_path) == {"a": first, "b": second}


def test_a_grey_image_is_one_modality(tmp_path):
    path = save(tmp_path / "a.png", GREY)
    cohort = find_images(tmp_path, Task(("mri",), classes=("background", "tumour")))
    assert cohort.cases[0].images == ((path, None),)


def test_a_folder_without_images_is_left_to_other_layouts(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.nii.gz").touch()
    assert find_images(tmp_path, TASK) is None
    assert find_images(tmp_path / "images", TASK) is None
    assert find_masks(tmp_path) == {}


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"a.png": GREY}, r"a\.png has 1 channels and the task 3 modalities \(pre, flair, post\)"),
        ({"a.png": RGB, "a.tif": RGB}, r"case a has .*a\.png and .*a\.tif: keep one"),
        (
            {"a.png": RGB, "a_mask.png": MASK, "a_mask.tif": MASK},
            r"case a has .*a_mask\.png and .*a_mask\.tif: keep one",
        ),
    ],
)
def test_a_case_that_cannot_be_used_is_told_and_the_others_stay(tmp_path, files, sentence):
    for name, array in files.items():
        save(tmp_path / name, array)
    save(tmp_path / "b.png", RGB)
    cohort = find_images(tmp_path, TASK)
    assert names(cohort) == ["b"]
    assert list(cohort.refused) == ["a"]
    assert re.search(sentence, cohort.refused["a"])


def test_a_file_that_is_no_image_is_refused_alone(tmp_path):
    (tmp_path / "a.png").write_text("nothing")
    save(tmp_path / "b.png", RGB)
    cohort = find_images(tmp_path, TASK)
    assert names(cohort) == ["b"]
    assert "a.png is no PNG, TIFF or JPEG" in cohort.refused["a"]


def test_channels_are_the_modalities_in_order(tmp_path):
    save(tmp_path / "images/a.tif", RGB)
    save(tmp_path / "masks/a.png", MASK)
    (case,) = find_images(tmp_path, TASK).cases
    sample = LoadCase(TASK)(record(case, "classes"))
    assert sample["image"].shape == (3, 5, 3, 1)
    assert sample["image"][:, 4, 1, 0].tolist() == [14, 114, 214]
    np.testing.assert_array_equal(sample["label"][0, ..., 0], GREY > 9)


@pytest.mark.real_data
def test_the_eight_real_slices_are_found_and_read(real_data):
    cohort = find_images(real_data / "lgg2d", TASK)
    assert len(cohort.labelled) == len(cohort.cases) == 8
    assert not cohort.refused
    tumours = 0
    for case in cohort.cases:
        sample = LoadCase(TASK)(record(case, "classes"))
        assert sample["image"].shape == (3, 256, 256, 1)
        assert sample["label"].shape == (1, 256, 256, 1)
        tumours += bool(sample["label"].any())
    assert tumours == 2


def test_two_masks_of_one_case_are_not_chosen_between(tmp_path):
    (tmp_path / "masks").mkdir()
    for suffix in ("png", "tif"):
        (tmp_path / "masks" / f"a.{suffix}").touch()
    with pytest.raises(UserError, match=r"a\.png and .*a\.tif are of one case: keep one"):
        find_masks(tmp_path)
