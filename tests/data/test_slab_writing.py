import nibabel as nib
import numpy as np
import pytest

from pipeline.data.slab_writing import VolumeWriter
from pipeline.data.volumes import read_header, read_volume, write_volume
from pipeline.errors import UserError

SHAPE = (3, 4, 5)
AFFINE = np.array([[-1.2, 0, 0, 5], [0, 0, 2, -7], [0, 1, 0, 3], [0, 0, 0, 1]])


def ramp(dtype=np.uint8):
    return np.arange(60, dtype=dtype).reshape(SHAPE)


def header(shape=SHAPE, image_class=nib.Nifti1Image):
    image = image_class(np.zeros(shape, np.int16), AFFINE)
    image.header.set_xyzt_units("mm")
    return image.header


def write(path, array, like, places=None):
    with VolumeWriter(path, array.dtype, like) as writer:
        for place in range(array.shape[2]) if places is None else places:
            writer.write(place, array[..., place])


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, ">i2"])
@pytest.mark.parametrize("image_class", [nib.Nifti1Image, nib.Nifti2Image])
def test_planes_in_any_order_make_the_file_of_the_whole_array(tmp_path, name, dtype, image_class):
    like = header(image_class=image_class)
    write_volume(tmp_path / "whole" / name, ramp(dtype), like)
    write(tmp_path / "planes" / name, ramp(dtype), like, places=(3, 0, 4, 1, 2))
    written = (tmp_path / "planes" / name).read_bytes()
    assert written == (tmp_path / "whole" / name).read_bytes()
    assert np.array_equal(nib.load(tmp_path / "planes" / name).get_fdata(), ramp())


@pytest.mark.parametrize("places", [(), (2,), (0, 1)])
def test_planes_that_never_come_are_zero(tmp_path, places):
    write(tmp_path / "a.nii.gz", ramp() + 1, header(), places)
    array = read_volume(tmp_path / "a.nii.gz").array
    for place in range(5):
        expected = (ramp() + 1)[..., place] if place in places else 0
        assert (array[..., place] == expected).all()


def test_a_plane_that_is_written_twice_is_the_later(tmp_path):
    with VolumeWriter(tmp_path / "a.nii", np.uint8, header()) as writer:
        writer.write(1, ramp()[..., 0])
        writer.write(1, ramp()[..., 1])
    assert np.array_equal(read_volume(tmp_path / "a.nii").array[..., 1], ramp()[..., 1])


def test_a_file_of_several_channels_gives_the_grid_of_one(tmp_path):
    write(tmp_path / "a.nii", ramp(), header((*SHAPE, 2)))
    assert read_volume(tmp_path / "a.nii").array.shape == SHAPE


def test_a_slice_stays_one(tmp_path):
    like = header((3, 4))
    write(tmp_path / "a.nii", ramp()[..., :1], like)
    assert read_header(tmp_path / "a.nii").get_data_shape() == (3, 4)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_2d_image_gets_the_pixels_alone(tmp_path, name):
    write(tmp_path / name, ramp()[..., :1], header((3, 4, 1)))
    assert np.array_equal(read_volume(tmp_path / name).array, ramp()[..., :1])


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.png"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_what_ends_in_an_error_leaves_what_was_there(tmp_path, name, error):
    path = tmp_path / name
    path.write_bytes(b"what was there")

    def fail_after_a_plane():
        with VolumeWriter(path, np.uint8, header((3, 4, 1))) as writer:
            writer.write(0, ramp()[..., 0])
            raise error

    with pytest.raises(error):
        fail_after_a_plane()
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"what was there"


def test_nothing_stands_at_the_path_before_the_end(tmp_path):
    path = tmp_path / "new" / "a.nii"
    with VolumeWriter(path, np.uint8, header()) as writer:
        writer.write(0, ramp()[..., 0])
        assert not path.exists()
    assert list(path.parent.iterdir()) == [path]


def test_what_cannot_be_written_ends_in_a_sentence_and_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "taken.nii").mkdir()
    (tmp_path / "taken.nii.gz").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for name in ("file/a.nii", "taken.nii", "taken.nii.gz"):
        with pytest.raises(UserError, match=f"cannot write {tmp_path / name} "):
            write(tmp_path / name, ramp(), header())
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("place", "shape"), [(5, (3, 4)), (-1, (3, 4)), (0, (4, 3))])
def test_a_plane_that_does_not_belong_is_refused(tmp_path, place, shape):
    with (
        pytest.raises(ValueError, match="does not belong to a volume"),
        VolumeWriter(tmp_path / "a.nii", np.uint8, header()) as writer,
    ):
        writer.write(place, np.zeros(shape, np.uint8))


def test_probabilities_are_not_cut_to_whole_numbers(tmp_path):
    with (
        pytest.raises(TypeError, match="Cannot cast"),
        VolumeWriter(tmp_path / "a.nii", np.uint8, header()) as writer,
    ):
        writer.write(0, np.full((3, 4), 0.5, np.float32))
