import gzip
import os
import pickle
import tracemalloc
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from pipeline.data.admission import admit
from pipeline.data.cases import Align, Case
from pipeline.data.slabs import opened
from pipeline.errors import UserError
from pipeline.tasks import Task

SHAPE = (6, 7, 8)
TASK = Task(("flair", "t1"), regions=("TC", "WT", "ET"))
AFFINE = np.array([[-1, 0, 0, 5], [0, 0, 2, -7], [0, 1, 0, 3], [0, 0, 0, 1.0]])
ON_DISK = 0
"""Bytes of memory for a case, so that none is read into it."""


def brain(seed, dtype=np.int16, shape=SHAPE):
    """A block of tissue in air."""
    array = np.zeros(shape, dtype)
    inner = array[1:-1, 1:-1, 1:-1]
    inner[...] = np.random.default_rng(seed).integers(1, 100, inner.shape)
    return array


def save(path, array, affine=AFFINE, scaling=None, order="<", image_class=nib.Nifti1Image):
    header = image_class.header_class(endianness=order)
    image = image_class(array, affine, header, dtype=array.dtype)
    image.header.set_xyzt_units("mm")
    if scaling is not None:
        image.header.set_slope_inter(*scaling)
    content = image.to_bytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def case_of(*images):
    return Case("a", tuple((path, None) for path in images))


@pytest.fixture
def case(tmp_path):
    """A good case, one of its files zipped."""
    return case_of(
        save(tmp_path / "a_flair.nii.gz", brain(0)), save(tmp_path / "a_t1.nii", brain(1))
    )


def assert_same_on_disk(case, task=TASK):
    """Planes from disk have the values and types of ``admit``, and so has what goes with them."""
    loaded = admit(case, task, None)
    folder = case.images[0][0].parent / "kept"
    folder.mkdir()
    with opened(case, task, folder, ON_DISK) as streamed:
        assert len(streamed.channels) == len(loaded.images)
        for channel, image in zip(streamed.channels, loaded.images, strict=True):
            assert channel.shape == image.array.shape
            for first, stop in ((0, channel.shape[2]), (2, 3), (1, 5), (3, 3)):
                planes = channel.planes(first, stop)
                assert planes.dtype == image.array.dtype
                assert planes.tobytes() == image.array[..., first:stop].tobytes()
        assert np.array_equal(streamed.affine, loaded.images[0].volume.affine)
        assert streamed.header == loaded.images[0].volume.header
        assert streamed.warnings == loaded.warnings
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("scaling", [None, (1, 0), (0.5, -100), (1 / 3, 0.1)])
@pytest.mark.parametrize(
    ("dtype", "order"),
    [(np.uint8, "<"), ("<i2", "<"), (">i2", ">"), ("<f4", "<"), (">f8", ">"), ("<i8", "<")],
)
def test_planes_from_disk_are_those_in_memory(tmp_path, suffix, scaling, dtype, order):
    files = [
        save(tmp_path / f"a_{seed}{suffix}", brain(seed, dtype), scaling=scaling, order=order)
        for seed in (0, 1)
    ]
    assert_same_on_disk(case_of(*files))


def test_a_plain_and_a_zipped_file_are_a_case(case):
    assert_same_on_disk(case)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("channels", [(2, 0), (1, 1)])
def test_channels_of_one_file_are_told_apart_on_disk_too(tmp_path, suffix, channels):
    array = np.stack([brain(seed) for seed in (0, 1, 2)], axis=-1)
    path = save(tmp_path / f"a{suffix}", array)
    assert_same_on_disk(Case("a", tuple((path, channel) for channel in channels)))


def test_a_pair_of_files_is_read_from_disk_too(tmp_path):
    nib.save(nib.Nifti1Pair(brain(0), AFFINE), tmp_path / "a.img")
    assert_same_on_disk(case_of(tmp_path / "a.hdr"), Task(("flair",), regions=("TC", "WT", "ET")))


def test_nifti_2_is_read_from_disk_too(tmp_path):
    path = save(tmp_path / "a.nii.gz", brain(0), image_class=nib.Nifti2Image)
    assert_same_on_disk(case_of(path), Task(("flair",), regions=("TC", "WT", "ET")))


@pytest.mark.parametrize(("in_memory", "from_file"), [(None, False), (1344, False), (1343, True)])
def test_a_case_that_fits_is_read_into_memory(case, tmp_path, in_memory, from_file):
    """Two images of 6 x 7 x 8 voxels of two bytes take 1344."""
    with opened(case, TASK, tmp_path, in_memory) as slabs:
        save(case.images[1][0], brain(2))  # is seen only where the file is read again
        second = slabs.channels[1].planes(0, 8)
    assert np.array_equal(second, brain(2 if from_file else 1))


def test_a_channel_on_disk_can_be_sent_to_another_process(case, tmp_path):
    with opened(case, TASK, tmp_path, ON_DISK) as slabs:
        sent = pickle.loads(pickle.dumps(slabs.channels[0]))
        assert np.array_equal(sent.planes(2, 5), brain(0)[..., 2:5])


def test_what_a_zip_holds_is_for_its_owner_alone_and_goes_at_the_end(case, tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir()

    def fail_within():
        with opened(case, TASK, folder, ON_DISK):
            (kept,) = folder.iterdir()
            assert kept.stat().st_mode & 0o777 == 0o600
            raise OSError("of the user")

    with pytest.raises(OSError, match="of the user"):
        fail_within()
    assert list(folder.iterdir()) == []


def not_finite(path):
    array = brain(3, np.float32)
    array[2, 2, :3] = np.nan, np.inf, -np.inf
    return save(path, array)


REFUSED = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "surplus": lambda path: path.write_bytes(path.read_bytes() + b"more"),
    "truncated in a zip": lambda path: path.write_bytes(gzip.compress(path.read_bytes()[:-5])),
    "surplus in a zip": lambda path: path.write_bytes(gzip.compress(path.read_bytes() + b"more")),
    "damaged zip": lambda path: path.write_bytes(gzip.compress(path.read_bytes())[:-5]),
    "flipped zip": lambda path: path.write_bytes(gzip.compress(path.read_bytes())[:-8] + bytes(8)),
    "zipped twice": lambda path: path.write_bytes(gzip.compress(gzip.compress(path.read_bytes()))),
    "text": lambda path: path.write_text("no image" * 99),
    "empty": lambda path: path.write_bytes(b""),
    "missing": lambda path: path.unlink(),
    "not finite": not_finite,
    "another shape": lambda path: save(path, brain(3)[:-1]),
    "another place": lambda path: save(path, brain(3), AFFINE + np.eye(4, k=3)),
    "several channels": lambda path: save(path, np.stack([brain(3), brain(4)], axis=-1)),
    "a micron": lambda path: save(path, brain(3), AFFINE @ np.diag([1e-6, 1, 1, 1])),
}


@pytest.mark.parametrize("damage", REFUSED)
def test_on_disk_a_case_is_refused_in_the_same_sentence(case, tmp_path, damage):
    REFUSED[damage](case.images[1][0])
    with pytest.raises(UserError) as in_memory:
        admit(case, TASK, None)
    folder = tmp_path / "kept"
    folder.mkdir()
    with pytest.raises(UserError) as on_disk, opened(case, TASK, folder, ON_DISK):
        pass
    assert str(on_disk.value) == str(in_memory.value)
    assert on_disk.value.code == in_memory.value.code
    assert list(folder.iterdir()) == []


def test_on_disk_a_case_without_signal_is_refused_in_the_same_sentence(tmp_path):
    zeros = np.zeros(SHAPE, np.uint8)
    case = case_of(save(tmp_path / "a.nii", zeros), save(tmp_path / "b.nii.gz", zeros))
    with pytest.raises(UserError) as in_memory:
        admit(case, TASK, None)
    with pytest.raises(UserError) as on_disk, opened(case, TASK, tmp_path, ON_DISK):
        pass
    assert "is zero in every voxel" in str(on_disk.value)
    assert str(on_disk.value) == str(in_memory.value)


@pytest.mark.parametrize(
    ("second", "code"),
    [
        (lambda: np.full(SHAPE, 7, np.int16), "constant-image"),
        (lambda: brain(0, np.float32), "identical-images"),
    ],
)
def test_warnings_are_the_same_on_disk(case, second, code):
    save(case.images[1][0], second())
    assert [finding.code for finding in admit(case, TASK, None).warnings] == [code]
    assert_same_on_disk(case)


def test_a_label_is_not_looked_at(case, tmp_path):
    with opened(replace(case, label=tmp_path / "missing.nii"), TASK, tmp_path, ON_DISK) as slabs:
        assert slabs.warnings == ()


def test_a_case_to_be_aligned_is_read_into_memory_onto_the_first_grid(case, tmp_path):
    save(case.images[1][0], brain(1)[:, :, 1:], AFFINE)
    aligning = replace(case, align=Align("grid"))
    with opened(aligning, TASK, tmp_path, ON_DISK) as slabs:
        assert [channel.shape for channel in slabs.channels] == [SHAPE, SHAPE]


def test_a_file_above_the_given_size_is_refused_on_disk_too(case, tmp_path, set_limit):
    set_limit(8 * 335)  # of 6 x 7 x 8 voxels of at most 8 bytes
    with (
        pytest.raises(UserError, match="claims 336 voxels, and 335 are the limit"),
        opened(case, TASK, tmp_path, ON_DISK),
    ):
        pass


def sparse(path, num_planes):
    """A plain file of 1 MiB a plane that takes no room, not zero at its start and its end."""
    header = nib.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape((1024, 1024, num_planes))
    header.set_sform(np.eye(4), code=1)
    header.set_data_offset(352)
    path.write_bytes(header.binaryblock + bytes(4) + b"\1")
    os.truncate(path, 352 + num_planes * 2**20)
    return path


def peak(case, folder):
    tracemalloc.start()
    try:
        task = Task(("flair",), regions=("TC", "WT", "ET"))
        with opened(case, task, folder, ON_DISK) as slabs:
            for place in range(slabs.channels[0].shape[2]):
                slabs.channels[0].planes(place, place + 1)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_file(tmp_path):
    small, large = (
        peak(case_of(sparse(tmp_path / f"{planes}.nii", planes)), tmp_path) for planes in (8, 128)
    )
    assert large < small + 2**20
    assert large < 8 * 2**20


def test_nothing_of_a_large_zip_is_held(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (1024, 1024, 16), np.uint8)
    path = save(tmp_path / "a.nii.gz", noise)
    assert path.stat().st_size > 16 * 2**20
    assert peak(case_of(path), tmp_path) < 8 * 2**20


def test_a_zip_that_has_no_room_unzipped_is_refused(tmp_path):
    content = bytearray(save(tmp_path / "a.nii", brain(0)).read_bytes())
    content[40:48] = np.array([3, 32767, 32767, 32767], "<i2").tobytes()  # 70 TB
    path = tmp_path / "b.nii.gz"
    path.write_bytes(gzip.compress(bytes(content)))
    with (
        pytest.raises(UserError, match=r"b\.nii\.gz takes \d+ bytes unzipped, and .* has \d+ left"),
        opened(case_of(path), TASK, tmp_path, ON_DISK),
    ):
        pass
