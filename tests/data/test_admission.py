import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import PIL.Image
import pytest

from pipeline.data.admission import admit, findings
from pipeline.data.cohorts import Align, Case
from pipeline.data.findings import CODES, Severity
from pipeline.errors import UserError
from pipeline.tasks import Task

ROOT = Path(__file__).parents[2]
SHAPE = (6, 7, 8)
TASK = Task(("flair", "t1"), regions=("TC", "WT", "ET"))
AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])


def brain(seed=0, dtype=np.int16):
    """A block of tissue in air."""
    array = np.zeros(SHAPE, dtype)
    array[1:-1, 1:-1, 1:-1] = np.random.default_rng(seed).integers(1, 1000, (4, 5, 6))
    return array


def tumour():
    array = np.zeros(SHAPE, np.uint8)
    array[2, 2:5, 2] = 1, 2, 3
    return array


def save(path, array, affine=AFFINE, codes=(1, 1), units="mm", edit=None):
    image = nib.Nifti1Image(array, affine)
    image.set_qform(affine, codes[0])
    image.set_sform(affine, codes[1])
    image.header.set_xyzt_units(units)
    if edit is not None:
        edit(image)
    nib.save(image, path)
    return path


@pytest.fixture
def case(tmp_path):
    """A good case."""
    flair = save(tmp_path / "a_flair.nii.gz", brain(0))
    t1 = save(tmp_path / "a_t1.nii.gz", brain(1))
    label = save(tmp_path / "a_seg.nii.gz", tumour())
    return Case("a", ((flair, None), (t1, None)), label)


def t1_of(case):
    return case.images[1][0]


def codes(case, convention="brats2023"):
    return [finding.code for finding in findings(case, TASK, convention)]


def test_a_good_case_gives_no_finding_and_is_read_as_it_is(case):
    assert codes(case) == []
    loaded = admit(case, TASK, "brats2023")
    assert [image.array[1, 1, 1] for image in loaded.images] == [
        brain(0)[1, 1, 1],
        brain(1)[1, 1, 1],
    ]
    assert np.array_equal(loaded.label.array, tumour())


def test_each_file_that_cannot_be_read_is_told(case):
    for path, _ in case.images:
        path.write_bytes(path.read_bytes()[:-1])
    found = findings(case, TASK, "brats2023")
    assert [(finding.code, finding.file) for finding in found] == [
        ("damaged-gzip", path) for path, _ in case.images
    ]


def test_an_image_above_the_limit_is_refused_before_it_is_read(case, set_limit):
    set_limit(8 * 336)  # 6 x 7 x 8 voxels of at most 8 bytes
    assert codes(case) == []
    set_limit(8 * 335)
    assert codes(case) == ["too-large", "too-large"]


def test_processes_that_are_started_have_the_limit(set_limit):
    set_limit(1000)
    code = "from pipeline.data.limits import Limits; print(Limits.in_force().num_bytes)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "1000"


@pytest.mark.parametrize(
    ("offset", "found"), [(0.0005, []), (0.01, ["different-grids", "different-grids"])]
)
def test_images_may_lie_a_thousandth_of_a_millimetre_apart(case, offset, found, tmp_path):
    affine = AFFINE.copy()
    affine[0, 3] = offset
    third = save(tmp_path / "a_t2.nii.gz", brain(2), affine)
    shifted = save(t1_of(case), brain(1), affine)
    images = (case.images[0], (shifted, None), (third, None))
    assert codes(Case("a", images)) == found


def test_a_label_of_another_shape_is_refused(case):
    save(case.label, tumour()[:-1])
    assert codes(case) == ["label-grid"]


def test_label_values_are_those_of_the_convention(case):
    assert codes(case, "brats2023") == []
    assert codes(case, "brats2018") == ["label-value"]
    assert codes(case, None) == []
    save(case.label, 2 * tumour())
    assert codes(case, None) == ["label-value"]


def test_a_label_mostly_in_the_air_is_refused_and_a_little_is_warned_of(case):
    label = tumour()
    label[0, 0, 0] = 1  # one of four voxels
    save(case.label, label)
    (found,) = findings(case, TASK, "brats2023")
    assert found.code == "label-partly-outside"
    assert found.severity is Severity.WARNED
    assert "1 of its 4 labelled voxels" in found.sentence
    label[0, :, 0] = 1
    save(case.label, label)
    assert codes(case) == ["label-outside"]


def test_without_background_nothing_is_outside(case):
    for seed, (path, _) in enumerate(case.images):
        save(path, brain(seed) + np.arange(6, dtype=np.int16)[:, None, None])
    label = np.zeros(SHAPE, np.uint8)
    label[0] = 1
    save(case.label, label)
    assert codes(case) == []


def test_one_image_given_twice_is_pointed_out(case):
    save(t1_of(case), brain(0, np.float32))
    (found,) = findings(case, TASK, "brats2023")
    assert found.code == "identical-images"
    assert found.severity is Severity.WARNED
    assert str(case.images[0][0]) in found.sentence
    assert str(t1_of(case)) in found.sentence


def test_two_channels_of_one_file_are_compared_too(tmp_path):
    path = save(tmp_path / "a.nii.gz", np.stack([brain(0), brain(0), brain(1)], axis=-1))
    assert codes(Case("a", ((path, 0), (path, 2)))) == []
    assert codes(Case("a", ((path, 0), (path, 1)))) == ["identical-images"]
    assert codes(Case("a", ((path, 0), (path, 3)))) == ["channels"]
    assert codes(Case("a", ((path, None),))) == ["channels"]


def test_a_case_without_signal_is_refused_and_one_blank_image_is_warned_of(case):
    save(t1_of(case), np.zeros(SHAPE, np.int16))
    assert codes(case) == ["constant-image"]
    save(case.images[0][0], np.zeros(SHAPE, np.uint8))
    assert "empty-case" in codes(case)


def test_voxels_that_are_not_finite_are_counted(case):
    array = brain(1, np.float32)
    array[2, 2, :3] = np.nan, np.inf, -np.inf
    save(t1_of(case), array)
    (found,) = findings(case, TASK, "brats2023")
    assert found.code == "not-finite"
    assert "3 NaN or infinite" in found.sentence


def shifted_qform(millimetres):
    def edit(image):
        affine = AFFINE.copy()
        affine[1, 3] = millimetres
        image.set_qform(affine, int(image.header["qform_code"]))

    return edit


def mirrored_qform(image):
    image.set_qform(np.diag([-1, 1, 2, 1]), int(image.header["qform_code"]))


def no_rotation(image):
    image.header["quatern_b"] = 2


@pytest.mark.parametrize(
    ("forms", "edit", "found"),
    [
        ((1, 1), shifted_qform(0.05), []),
        ((1, 1), shifted_qform(0.2), ["sform-qform"]),
        ((1, 4), shifted_qform(50), []),  # scanner and atlas
        ((1, 4), mirrored_qform, ["sform-qform"]),
        ((1, 2), no_rotation, ["sform-qform"]),
        ((0, 1), shifted_qform(50), []),
        ((0, 0), None, ["no-orientation"]),
    ],
)
def test_sform_is_held_against_qform(case, forms, edit, found):
    shape_only = Case("a", case.images[1:])
    save(t1_of(case), brain(1), codes=forms, edit=edit)
    assert codes(shape_only) == found


@pytest.mark.parametrize(
    ("spacing", "found"),
    [
        (0.0005, "spacing"),
        (0.04, "unusual-spacing"),
        (0.06, None),
        (20, None),
        (21, "unusual-spacing"),
        (1700, "spacing"),  # 6 voxels are 10.2 m long
    ],
)
def test_a_spacing_is_plausible_unusual_or_impossible(tmp_path, spacing, found):
    affine = np.diag([spacing, 1, 1, 1])
    path = save(tmp_path / "a.nii", brain(), affine)
    assert codes(Case("a", ((path, None),))) == ([found] if found else [])


def test_a_grid_in_metres_is_pointed_out(tmp_path):
    path = save(tmp_path / "a.nii", brain(), units="meter")
    assert codes(Case("a", ((path, None),))) == ["units"]


@pytest.mark.parametrize("units", [4, 66, 130, 255])
def test_units_that_nifti_does_not_define_say_nothing(tmp_path, units):
    def mark(image):
        image.header["xyzt_units"] = units

    path = save(tmp_path / "b.nii", brain(), edit=mark)
    assert codes(Case("b", ((path, None),))) == []


@pytest.mark.parametrize("length", [0, 40])
def test_a_damaged_2d_mask_is_a_finding_of_its_case(tmp_path, length):
    image, mask = tmp_path / "a.png", tmp_path / "a_mask.png"
    PIL.Image.fromarray(brain()[3].astype(np.uint8)).save(image)
    PIL.Image.fromarray(tumour()[2]).save(mask)
    mask.write_bytes(mask.read_bytes()[:length])
    (found,) = findings(Case("a", ((image, None),), mask), TASK, "brats2023")
    assert (found.code, found.file) == ("unreadable-image", mask)


def test_a_label_is_not_held_against_images_on_other_grids(case):
    moved = AFFINE.copy()
    moved[:3, 3] = 3
    flair, t1 = (path for path, _ in case.images)
    save(flair, np.where(tumour() > 0, 0, brain(0)))
    save(t1, np.where(tumour() > 0, 0, brain(1)), moved)
    aligned = replace(case, align=Align("grid"))
    assert codes(aligned) == []
    save(t1, np.where(tumour() > 0, 0, brain(1)))
    assert codes(aligned) == ["label-outside"]


def test_the_first_refusal_is_the_error_of_a_case(case):
    save(t1_of(case), brain(1)[:-1])
    with pytest.raises(UserError, match=r"a_t1\.nii\.gz has shape \(5, 7, 8\)"):
        admit(case, TASK, "brats2023")


def test_the_page_lists_every_code_with_its_severity_and_meaning():
    page = (ROOT / "docs" / "checks.md").read_text()
    listed = {}
    for title in ("Refused", "Warned"):
        section = page.split(f"\n## {title}\n")[1].split("\n## ")[0]
        for row in section.splitlines():
            if row.startswith("| `"):
                _, code, meaning, _ = (cell.strip() for cell in row.split("|"))
                listed[code.strip("`")] = (Severity(title.lower()), meaning)
    assert listed == CODES
