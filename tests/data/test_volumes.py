import gzip
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from scipy.spatial.transform import Rotation

from pipeline.data.volumes import is_volume, read_header, read_volume, stem, write_volume
from pipeline.errors import UserError

SHAPE = (5, 6, 7)
TILT = Rotation.from_euler("xyz", (8, -5, 12), degrees=True).as_matrix()
DATATYPE, DIM, SROW_X = 70, 40, 280  # offsets in the header of NIfTI-1


def oblique(spacing=(1.2, 1.0, 3.0)):
    affine = np.eye(4)
    affine[:3, :3] = TILT @ np.diag([-1, -1, 1]) @ np.diag(spacing)
    affine[:3, 3] = (11, -22, 33)
    return affine


def ramp(dtype=np.int16, shape=SHAPE):
    return np.arange(np.prod(shape), dtype=dtype).reshape(shape)


def nifti(array=None, affine=None, image_class=nib.Nifti1Image):
    image = image_class(ramp() if array is None else array, oblique() if affine is None else affine)
    image.header.set_xyzt_units("mm")
    return image


def save(path, image):
    nib.save(image, path)
    return path


def patched(offset, replacement):
    """The bytes of a good file with some replaced."""
    content = bytearray(nifti().to_bytes())
    content[offset : offset + len(replacement)] = replacement
    return bytes(content)


def test_the_stem_of_a_file_is_what_stands_before_the_suffix_of_a_volume():
    assert stem(Path("a/case.1.NII.gz")) == "case.1"
    assert stem(Path("case.nii")) == "case"
    assert stem(Path("case.txt")) == "case.txt"


def test_hidden_files_are_no_volumes():
    assert is_volume(Path("a/CASE.NII.GZ"))
    assert not is_volume(Path("a/._case.nii.gz"))
    assert not is_volume(Path("a/case.nii.gz.part"))


@pytest.mark.parametrize("image_class", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("codes", [(1, 1), (0, 2), (1, 0), (3, 4), (0, 0)])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_what_is_written_lies_on_the_grid_of_what_was_read(tmp_path, image_class, codes, suffix):
    qform, sform = codes
    image = nifti(image_class=image_class)
    image.set_qform(oblique(), code=qform)
    image.set_sform(oblique(), code=sform)
    source = save(tmp_path / f"in{suffix}", image)
    label = (ramp() % 4).astype(np.uint8)
    write_volume(tmp_path / f"out{suffix}", label, read_header(source))

    read, written = nib.load(source), nib.load(tmp_path / f"out{suffix}")
    assert type(written) is image_class
    assert np.array_equal(written.affine, read.affine)
    assert np.array_equal(written.get_qform(), read.get_qform())
    assert np.array_equal(written.get_sform(), read.get_sform())
    for name in ("qform_code", "sform_code"):
        assert written.header[name] == read.header[name]
    assert written.header.get_xyzt_units() == read.header.get_xyzt_units()
    assert written.header.get_zooms() == read.header.get_zooms()
    assert written.get_data_dtype() == np.uint8
    assert np.array_equal(np.asanyarray(written.dataobj), label)


def test_a_turn_that_rounding_left_longer_than_1_is_read_and_written_as_1(tmp_path):
    image = nifti(image_class=nib.Nifti2Image)
    image.set_sform(None, code=0)
    image.set_qform(np.diag([-1, -1, 1, 1]), code=1)
    image.header["quatern_d"] = 1 + 2e-15
    image.header["vox_offset"] = 544
    with pytest.raises(ValueError, match="w2 should be positive"):
        image.header.get_qform()
    source = tmp_path / "in.nii"
    source.write_bytes(image.header.binaryblock + bytes(4) + ramp().tobytes(order="F"))
    write_volume(tmp_path / "out.nii", ramp().astype(np.uint8), read_header(source))
    np.testing.assert_allclose(nib.load(tmp_path / "out.nii").affine, np.diag([-1, -1, 1, 1]))


def test_no_text_of_the_input_is_carried_over(tmp_path):
    image = nifti()
    for name in ("descrip", "aux_file", "intent_name", "db_name"):
        image.header[name] = b"Jane Roe"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Jane Roe, 1961"))
    source = save(tmp_path / "in.nii", image)
    assert b"Jane" in source.read_bytes()
    write_volume(tmp_path / "out.nii", ramp(np.uint8), read_header(source))
    assert b"Jane" not in (tmp_path / "out.nii").read_bytes()


def test_the_type_of_the_input_does_not_bind_the_output(tmp_path):
    source = save(tmp_path / "in.nii", nifti())
    probabilities = np.linspace(0, 1, ramp().size, dtype=np.float32).reshape(SHAPE)
    write_volume(tmp_path / "out.nii", probabilities, read_header(source))
    assert np.array_equal(read_volume(tmp_path / "out.nii").array, probabilities)


def test_a_big_endian_file_gives_its_grid_too(tmp_path):
    header = nib.Nifti1Header(endianness=">")
    source = save(tmp_path / "in.nii", nib.Nifti1Image(ramp(">i2"), oblique(), header))
    write_volume(tmp_path / "out.nii", ramp(np.uint8), read_header(source))
    assert np.array_equal(nib.load(tmp_path / "out.nii").affine, nib.load(source).affine)


@pytest.mark.parametrize("codes", [(1, 1), (1, 0)])
def test_simpleitk_finds_each_voxel_of_a_written_file_where_the_affine_says(tmp_path, codes):
    image = nifti()
    image.set_qform(oblique(), code=codes[0])
    image.set_sform(oblique(), code=codes[1])
    source = save(tmp_path / "in.nii.gz", image)
    write_volume(tmp_path / "out.nii.gz", ramp(np.uint8), read_header(source))
    found = SimpleITK.ReadImage(str(tmp_path / "out.nii.gz"))
    assert found.GetSize() == SHAPE
    to_lps = np.array([-1, -1, 1])
    for index in np.ndindex(*SHAPE):
        expected = (oblique() @ [*index, 1])[:3] * to_lps
        point = found.TransformIndexToPhysicalPoint([int(i) for i in index])
        assert np.abs(expected - point).max() < 1e-3  # mm
        assert found[[int(i) for i in index]] == ramp(np.uint8)[index]


def test_the_slope_and_intercept_of_the_header_are_honoured(tmp_path):
    image = nifti()
    image.header.set_slope_inter(0.5, -100)
    (tmp_path / "a.nii").write_bytes(image.to_bytes())
    array = read_volume(tmp_path / "a.nii").array
    assert array[0, 0, 2] == 0.5 * 2 - 100


def test_a_volume_knows_its_spacing(tmp_path):
    volume = read_volume(save(tmp_path / "a.nii.gz", nifti()))
    assert volume.array.shape == SHAPE
    assert volume.spacing == pytest.approx((1.2, 1.0, 3.0), abs=1e-6)


def test_a_slice_is_a_volume_of_depth_one(tmp_path):
    path = save(tmp_path / "a.nii", nifti(ramp(shape=(5, 6))))
    assert read_volume(path).array.shape == (5, 6, 1)


def test_channels_stay_on_the_last_axis(tmp_path):
    path = save(tmp_path / "a.nii", nifti(ramp(shape=(2, 3, 4, 5))))
    assert read_volume(path).array.shape == (2, 3, 4, 5)


@pytest.mark.parametrize(
    ("name", "zipped"), [("a.nii", True), ("a.nii.gz", False), ("A.NII.GZ", True)]
)
def test_the_content_not_the_name_says_whether_a_file_is_zipped(tmp_path, name, zipped):
    content = nifti().to_bytes()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if zipped else content)
    assert np.array_equal(read_volume(path).array, ramp())
    assert read_header(path).get_data_shape() == SHAPE


GOOD = nifti().to_bytes()
NAN = np.float32(np.nan).tobytes()
DAMAGED = {
    "empty": b"",
    "text": b"this is not an image\n" * 40,
    "a few bytes": b"short",
    "truncated in the header": GOOD[:200],
    "truncated in the first voxel": GOOD[:353],
    "truncated by one byte": GOOD[:-1],
    "zip truncated in the header": gzip.compress(GOOD)[:6],
    "zip truncated": gzip.compress(GOOD)[:-20],
    "zip truncated in its checksum": gzip.compress(GOOD)[:-3],
    "zip of a truncated file": gzip.compress(GOOD[:-1]),
    "zip and something more": gzip.compress(GOOD) + b"more",
    "NaN in the affine": patched(SROW_X, NAN),
    "affine without volume": patched(SROW_X, bytes(48)),
    "quaternion of no rotation": patched(252, np.array([1, 0], "<i2").tobytes() + b"\0\0\x40\x40"),
    "unknown data type": patched(DATATYPE, np.int16(9999).tobytes()),
    "no voxels": patched(DIM, np.array([3, 0, 6, 7], "<i2").tobytes()),
    "negative size": patched(DIM, np.array([3, -5, 6, 7], "<i2").tobytes()),
    "voxels far behind the end": patched(108, np.float32(1e9).tobytes()),
    "colours": nifti(np.zeros((2, 2, 2), [("R", "u1"), ("G", "u1"), ("B", "u1")])).to_bytes(),
    "complex numbers": nifti(np.ones((2, 2, 2), np.complex64)).to_bytes(),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_file_ends_in_a_sentence_that_names_it(tmp_path, damage):
    path = tmp_path / "case_flair.nii"
    path.write_bytes(DAMAGED[damage])
    with pytest.raises(UserError, match=r"case_flair\.nii"):
        read_volume(path)


@pytest.mark.parametrize("name", ["missing.nii.gz", "folder.nii.gz"])
def test_a_path_without_a_file_ends_in_a_sentence_that_names_it(tmp_path, name):
    (tmp_path / "folder.nii.gz").mkdir()
    with pytest.raises(UserError, match=f"cannot read .*{name}"):
        read_volume(tmp_path / name)


def test_no_byte_of_a_zip_can_flip_unnoticed(tmp_path):
    content = gzip.compress(GOOD)
    path = tmp_path / "a.nii.gz"
    for position in range(10, len(content)):  # behind the header, whose time and name are free
        flipped = bytearray(content)
        flipped[position] ^= 0xFF
        path.write_bytes(bytes(flipped))
        with pytest.raises(UserError, match=r"a\.nii\.gz is damaged"):
            read_volume(path)


def test_a_header_that_claims_64_gib_reserves_no_memory(tmp_path):
    path = tmp_path / "a.nii"
    path.write_bytes(patched(DIM, np.array([3, 4096, 4096, 2048], "<i2").tobytes()))
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="truncated: its header says 68719477088 bytes"):
            read_volume(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_failed_write_leaves_nothing(tmp_path):
    like = nifti().header
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "taken.nii").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for path in (tmp_path / "file" / "out.nii.gz", tmp_path / "taken.nii"):
        with pytest.raises(UserError, match=f"cannot write {path}"):
            write_volume(path, ramp(np.uint8), like)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_write_replaces_what_was_there_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "new" / "out.nii.gz"
    for value in (1, 2):
        write_volume(path, np.full(SHAPE, value, np.uint8), nifti().header)
    assert list(path.parent.iterdir()) == [path]
    assert (read_volume(path).array == 2).all()


def test_equal_volumes_are_equal_files(tmp_path):
    for name in ("a.nii.gz", "b.nii.gz"):
        write_volume(tmp_path / name, ramp(np.uint8), nifti().header)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
