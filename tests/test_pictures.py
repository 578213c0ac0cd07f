import sys
from subprocess import run

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from pipeline.pictures import PALETTE, lightbox, three_planes

NAMES = {2: "oedema", 1: "core"}
SPACING = (1.0, 2.0, 4.0)


@pytest.fixture
def image():
    """A grey box with its brightest corner right, front and top, on an anisotropic grid."""
    image = np.full((40, 20, 8), 50, np.int16)
    image[20:, 10:, 4:] = 100
    return image


def labels(*slices):
    array = np.zeros((40, 20, 8), np.uint8)
    array[slices] = 2
    return array


def size(path):
    height, width, _ = imread(path).shape
    return width, height


def near(path, colour):
    """Which pixels (rows, columns) of a picture have about this colour."""
    return np.abs(imread(path)[..., :3] - to_rgb(colour)).max(axis=-1) < 0.05


def pixels_near(path, colour):
    """Where a picture has about this colour: (rows, columns) of its pixels, in [0, 1]."""
    found = near(path, colour)
    return np.argwhere(found) / found.shape


def body(found):
    """Pixels above the legend."""
    return found[found[:, 0] < 0.93]


@pytest.mark.parametrize("has_reference", [True, False])
def test_a_picture_is_1200_pixels_wide(tmp_path, image, has_reference):
    label = labels(slice(5, 20), slice(5, 9), slice(2, 6))
    reference = label if has_reference else None
    path = tmp_path / "case.png"
    three_planes(image, reference, label, SPACING, path, names=NAMES, title="case-7")
    width, height = size(path)
    assert width == 1200
    assert 900 < height < 2000


@pytest.mark.parametrize("draw", [three_planes, lightbox])
def test_dollars_in_names_are_no_formula(tmp_path, image, draw):
    label = labels(slice(5, 20), slice(5, 9), slice(2, 6))
    path = tmp_path / "case.png"
    draw(image, None, label, SPACING, path, names={2: "a$_$_"}, title="scan_$1_$2: mri")
    assert size(path)[0] == 1200


def test_without_a_reference_there_are_two_columns(tmp_path, image):
    label = labels(slice(5, 20), slice(5, 9), slice(2, 6))
    path = tmp_path / "case.png"
    three_planes(image, None, label, SPACING, path, names=NAMES)
    assert body(pixels_near(path, PALETTE[0]))[:, 1].min() > 1 / 2
    three_planes(image, label, label, SPACING, path, names=NAMES)
    columns = body(pixels_near(path, PALETTE[0]))[:, 1]
    assert 1 / 3 < columns.min() < 2 / 3 < columns.max()


def test_planes_go_through_most_of_the_reference(tmp_path, image):
    reference = labels(slice(5, 20), slice(5, 9), 2)
    path = tmp_path / "case.png"
    elsewhere = labels(slice(25, 38), slice(11, 19), slice(4, 8))
    three_planes(image, reference, elsewhere, SPACING, path, names=NAMES)
    columns = body(pixels_near(path, PALETTE[0]))[:, 1]
    assert columns.size
    assert columns.max() < 2 / 3


def test_planes_go_through_the_prediction_where_the_reference_is_empty(tmp_path, image):
    path = tmp_path / "case.png"
    prediction = labels(slice(25, 38), slice(11, 19), 6)
    three_planes(image, labels(slice(0)), prediction, SPACING, path, names=NAMES)
    assert body(pixels_near(path, PALETTE[0]))[:, 1].min() > 2 / 3


def test_the_patients_right_is_at_the_left_and_front_and_top_are_up(tmp_path, image):
    path = tmp_path / "case.png"
    corner = labels(slice(30, 38), slice(14, 18), slice(5, 8))
    three_planes(image, None, corner, SPACING, path, names=NAMES)
    found = body(pixels_near(path, PALETTE[0]))
    axial, coronal, sagittal = (
        found[(found[:, 0] > low) & (found[:, 0] < high)]
        for low, high in ((0.0, 0.38), (0.41, 0.67), (0.71, 0.97))
    )
    for plane, middle in ((axial, 0.20), (coronal, 0.54), (sagittal, 0.84)):
        assert plane[:, 1].max() < 3 / 4
        assert plane[:, 0].max() < middle


def test_a_case_without_any_label_is_still_drawn(tmp_path, image):
    path = tmp_path / "case.png"
    empty = labels(slice(0))
    three_planes(np.zeros_like(image), empty, empty, SPACING, path, names=NAMES)
    assert len(body(pixels_near(path, PALETTE[0]))) == 0


def test_without_names_every_label_is_drawn(tmp_path, image):
    path = tmp_path / "case.png"
    label = labels(slice(5, 20), slice(5, 9), slice(2, 6))
    label[5:9, 5:7, 2:4] = 7
    three_planes(image, None, label, SPACING, path)
    for colour in PALETTE[:2]:
        assert len(body(pixels_near(path, colour))) > 0


def test_importing_pictures_does_not_import_matplotlib():
    code = "import sys, pipeline.pictures; sys.exit('matplotlib' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_single_slice_is_drawn(image, tmp_path):
    label = labels(slice(10, 20), slice(5, 10))[..., :1]
    three_planes(image[..., :1], label, label, SPACING, tmp_path / "slice.png", names=NAMES)
    assert body(pixels_near(tmp_path / "slice.png", PALETTE[0])).size > 0


def test_planes_go_through_the_largest_lesion(tmp_path, image):
    label = labels(slice(4, 9), slice(4, 9), slice(2, 5))  # 75 voxels, 25 in an axial slice
    for x in (22, 27, 32, 37):  # 36 in one axial slice, in four pieces
        label[x : x + 3, 14:17, 6] = 1
    path = tmp_path / "case.png"
    three_planes(image, None, label, SPACING, path, names=NAMES)
    assert body(pixels_near(path, PALETTE[0])).size > 0
    assert body(pixels_near(path, PALETTE[1])).size == 0


def test_pictures_are_true_in_millimetres(tmp_path, image):
    cube = labels(slice(12, 20), slice(6, 10), slice(3, 5))  # 8 mm along each axis
    path = tmp_path / "case.png"
    three_planes(image, None, cube, SPACING, path, names=NAMES)
    rows, columns = np.nonzero(near(path, PALETTE[0])[: size(path)[1] * 93 // 100])
    width = np.ptp(columns)
    assert width == pytest.approx(8 / 40 * 591, abs=4)  # 591 pixels a column of 40 mm
    for plane in np.split(np.unique(rows), np.flatnonzero(np.diff(np.unique(rows)) > 50) + 1):
        assert np.ptp(plane) == pytest.approx(width, abs=4)


def test_a_bar_shows_the_scale(tmp_path, image):
    empty = labels(slice(0))
    path = tmp_path / "case.png"
    three_planes(np.zeros_like(image), None, empty, SPACING, path, names=NAMES)
    white = near(path, "white")
    assert white.sum(axis=1).max() == pytest.approx(10 / 40 * 591, abs=4)  # 10 mm


def test_what_is_empty_around_a_case_is_cut_off(tmp_path, image):
    label = labels(slice(5, 20), slice(5, 9), slice(2, 6))
    around = ((50, 50), (30, 30), (20, 20))
    paths = [tmp_path / name for name in ("a.png", "b.png")]
    three_planes(np.pad(image, 6), None, np.pad(label, 6), SPACING, paths[0])
    three_planes(np.pad(image, around), None, np.pad(label, around), SPACING, paths[1])
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_lightbox_has_evenly_spaced_slices(tmp_path):
    image = np.full((12, 10, 60), 50, np.int16)
    path = tmp_path / "case.png"
    for index, seen in ((0, False), (1, True), (2, False), (57, False), (58, True)):
        label = np.zeros(image.shape, np.uint8)
        label[4:8, 4:8, index] = 2
        lightbox(image, None, label, (1, 1, 1), path, names=NAMES)
        found = body(pixels_near(path, PALETTE[0]))
        assert (found.size > 0) == seen, index
        if seen:
            place = (found.mean(axis=0) * (4, 5)).astype(int).tolist()
            assert place == ([0, 0] if index == 1 else [3, 4])
    assert size(path)[0] == 1200


def test_a_lightbox_outlines_the_reference_and_fills_the_prediction(tmp_path, image):
    here, there = (labels(place, slice(6, 14)) for place in (slice(4, 14), slice(26, 36)))
    path = tmp_path / "case.png"
    lightbox(image, here, there, SPACING, path, names=NAMES)
    outlined = body(pixels_near(path, PALETTE[0]))
    lightbox(image, there, here, SPACING, path, names=NAMES)
    other = body(pixels_near(path, PALETTE[0]))
    assert np.unique(outlined[:, 1] * 5 % 1 > 0.5).tolist() == [True]  # the patient's right
    assert np.unique(other[:, 1] * 5 % 1 > 0.5).tolist() == [False]


@pytest.mark.parametrize("draw", [three_planes, lightbox])
def test_a_2d_image_has_neither_scale_nor_sides(tmp_path, draw):
    empty = np.zeros((30, 20, 1), np.uint8)
    draw(empty, None, empty, None, tmp_path / "case.png", names={})
    picture = near(tmp_path / "case.png", "white")
    assert not picture[60:].any()  # below the titles of the columns
