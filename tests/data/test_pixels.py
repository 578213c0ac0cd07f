import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.data.labels import read_labels
from pipeline.data.pixels import count_channels, is_image, read_pixels, write_pixels
from pipeline.data.volumes import read_header, read_volume, stem, write_volume
from pipeline.errors import UserError
from pipeline.tasks import Task

ROWS, COLUMNS = 5, 3
GREY = np.arange(15, dtype=np.uint8).reshape(ROWS, COLUMNS)
RGB = np.stack([GREY, GREY + 100, GREY + 200], axis=-1)
RGBA = np.dstack([RGB, np.full_like(GREY, 7)])
TUMOUR = Task(("mri",), classes=("background", "tumour"))
ORGANS = Task(("ct",), classes=("background", "liver", "spleen"))


def png(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


def tiff(path, array, **options):
    tifffile.imwrite(path, array, **options)
    return path


def chunk(kind, content):
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png_bytes(width, height, bits, colour, rows=b""):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")


FILES = {
    "grey.png": (png, GREY, {}, GREY[..., None]),
    "grey16.png": (png, GREY.astype(np.uint16) * 4000, {}, GREY[..., None] * np.uint16(4000)),
    "rgb.png": (png, RGB, {}, RGB),
    "alpha.png": (png, RGBA, {}, RGB),
    "greyalpha.png": (png, RGBA[..., [0, 3]], {}, GREY[..., None]),
    "bits.png": (png, GREY > 7, {}, (GREY > 7).astype(np.uint8)[..., None]),
    "grey.tif": (tiff, GREY, {}, GREY[..., None]),
    "GREY16.TIFF": (tiff, GREY.astype(">u2") * 4000, {"byteorder": ">"}, GREY[..., None] * 4000.0),
    "real.tif": (tiff, GREY / np.float32(4), {}, GREY[..., None] / 4),
    "rgb.tif": (tiff, RGB, {"photometric": "rgb", "compression": "zlib"}, RGB),
    "rgb16.tif": (tiff, RGB * np.uint16(200), {"photometric": "rgb"}, RGB * np.uint16(200)),
    "alpha.tif": (tiff, RGBA, {"photometric": "rgb"}, RGB),
    "planes.tif": (
        tiff,
        np.moveaxis(RGB, -1, 0),
        {"photometric": "rgb", "planarconfig": "separate"},
        RGB,
    ),
    "channels.tif": (tiff, RGBA, {"photometric": "minisblack", "planarconfig": "contig"}, RGBA),
}


@pytest.mark.parametrize("name", FILES)
def test_pixels_are_those_of_the_file_without_alpha(tmp_path, name):
    write, array, options, expected = FILES[name]
    path = write(tmp_path / name, array, **options)
    np.testing.assert_array_equal(read_pixels(path), expected)
    assert count_channels(path) == expected.shape[2]


@pytest.mark.parametrize("write", [png, tiff])
def test_an_image_longer_than_its_header_can_tell_is_refused(tmp_path, write):
    path = write(tmp_path / f"a.{write.__name__[:3]}", np.zeros((1, 2**15), np.uint8))
    with pytest.raises(UserError, match="is 32768 pixels long, and 32767 are the limit"):
        read_pixels(path)


def test_a_jpeg_is_read_as_nearly_as_it_stores(tmp_path):
    path = png(tmp_path / "a.jpg", np.full((16, 8), 90, np.uint8))
    assert np.abs(read_pixels(path).astype(int) - 90).max() <= 2
    assert read_pixels(path).shape == (16, 8, 1)


def test_an_image_is_a_volume_of_one_slice_with_rows_first(tmp_path):
    volume = read_volume(png(tmp_path / "a.png", RGB))
    assert volume.array.shape == (ROWS, COLUMNS, 1, 3)
    assert volume.array[4, 1, 0].tolist() == RGB[4, 1].tolist()
    np.testing.assert_array_equal(volume.affine, np.eye(4))
    assert read_volume(png(tmp_path / "b.png", GREY)).array.shape == (ROWS, COLUMNS, 1)


@pytest.mark.parametrize("name", ["out.png", "out.tif"])
def test_pixels_come_back_where_they_were(tmp_path, name):
    source = tiff(tmp_path / "in.tif", GREY)
    values = GREY if name == "out.png" else GREY / np.float32(15)
    write_volume(tmp_path / name, values[..., None], read_header(source))
    np.testing.assert_array_equal(read_pixels(tmp_path / name)[..., 0], values)


def test_equal_images_are_equal_files(tmp_path):
    for suffix, values in ((".png", GREY), (".tif", GREY / np.float32(2))):
        for name in ("a", "b"):
            write_pixels(tmp_path / f"{name}{suffix}", values)
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_a_failed_write_leaves_nothing(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write"):
        write_pixels(tmp_path / "file" / "out.png", GREY)
    assert [path.name for path in tmp_path.rglob("*")] == ["file"]


def test_the_name_says_what_is_an_image(tmp_path):
    assert is_image(tmp_path / "A.TIFF")
    assert not is_image(tmp_path / "._a.png")
    assert not is_image(tmp_path / "a.nii.gz")
    assert stem(tmp_path / "case.1.png") == "case.1"


def cut(name, end):
    def write(path):
        function, array, options, _ = FILES[name]
        function(path, array, **options)
        path.write_bytes(path.read_bytes()[:end])

    return write


def flipped(path):
    content = bytearray(png(path, RGB).read_bytes())
    content[content.index(b"IDAT") + 8] ^= 0xFF
    path.write_bytes(bytes(content))


def jpeg_cut(path):
    content = png(path, np.zeros((64, 64), np.uint8), format="JPEG").read_bytes()
    path.write_bytes(content[:-20])


def huge_tiff(path):
    tiff(path, GREY)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["ImageWidth"].overwrite(20000)
        file.pages[0].tags["ImageLength"].overwrite(20000)


DAMAGED = {
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "text": (lambda path: path.write_text("an image"), "is no PNG, TIFF or JPEG"),
    "a folder": (lambda path: path.mkdir(), "Is a directory"),
    "missing": (lambda _: None, "No such file"),
    "a PNG cut in its header": (cut("rgb.png", 20), "cannot read"),
    "a PNG cut in its pixels": (cut("rgb.png", -30), "cannot read"),
    "a PNG cut at its end": (cut("rgb.png", -6), "cannot read"),
    "a PNG with a flipped bit": (flipped, "cannot read"),
    "a JPEG cut in its pixels": (jpeg_cut, "cannot read"),
    "a TIFF cut in its header": (cut("rgb.tif", 6), "cannot read"),
    "a TIFF cut in its pixels": (cut("rgb.tif", -4), "is truncated or damaged"),
    "an uncompressed TIFF cut": (cut("grey.tif", -1), "is truncated or damaged"),
    "a palette": (
        lambda path: Image.fromarray(RGB).convert("P").save(path, "PNG"),
        "of the kind P: save it as grey or RGB",
    ),
    "inverted grey": (lambda path: tiff(path, GREY, photometric="miniswhite"), "MINISWHITE"),
    "ink": (lambda path: Image.fromarray(RGB).convert("CMYK").save(path, "JPEG"), "CMYK"),
    "colours of 16 bits": (
        lambda path: path.write_bytes(png_bytes(1, 1, 16, 2, b"\0" * 7)),
        "is a colour PNG of 16 bits: save it as TIFF",
    ),
    "an animation": (
        lambda path: png(path, GREY, save_all=True, append_images=[Image.fromarray(GREY + 1)]),
        "holds several images",
    ),
    "pages": (
        lambda path: tiff(path, np.stack([GREY, GREY]), photometric="minisblack"),
        "holds several images",
    ),
    "complex numbers": (lambda path: tiff(path, GREY.astype(np.complex64)), "of type complex64"),
    "a bomb": (
        lambda path: path.write_bytes(png_bytes(20000, 20000, 8, 0)),
        "is too large .*400000000",
    ),
    "a bomb in TIFF": (huge_tiff, r"is too large \(400000000 pixels\)"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_an_image_that_cannot_be_used_ends_in_a_sentence_that_names_it(tmp_path, damage):
    write, sentence = DAMAGED[damage]
    path = tmp_path / "case.png"
    write(path)
    with pytest.raises(UserError, match=rf"case\.png.*{sentence}|{sentence}.*case\.png"):
        read_volume(path)


@pytest.mark.parametrize("name", ["rgb.png", "rgb.tif"])
def test_an_image_above_the_limit_ends_in_a_sentence(tmp_path, set_limit, name):
    function, array, options, _ = FILES[name]
    path = function(tmp_path / name, array, **options)
    set_limit(8 * array.size)
    assert read_pixels(path).size == array.size
    set_limit(8 * array.size - 1)
    for read in (read_pixels, count_channels):
        with pytest.raises(UserError, match=rf"{name} has {array.size} values, and "):
            read(path)


@pytest.mark.parametrize("value", [1, 255])
def test_a_mask_of_two_classes_says_1_or_255(tmp_path, value):
    mask = (GREY > 7).astype(np.uint8) * value
    labels = read_labels(png(tmp_path / "a.png", mask), TUMOUR, "classes")
    assert labels.array.shape == (ROWS, COLUMNS, 1)
    np.testing.assert_array_equal(labels.array[..., 0], GREY > 7)


def test_a_mask_of_several_classes_holds_their_numbers(tmp_path):
    labels = read_labels(tiff(tmp_path / "a.tif", GREY % 3), ORGANS, "classes")
    np.testing.assert_array_equal(labels.array[..., 0], GREY % 3)


@pytest.mark.parametrize(
    ("task", "values", "unknown"),
    [
        (TUMOUR, [0, 128], 128),
        (TUMOUR, [0, 1, 255], 255),
        (ORGANS, [0, 3], 3),
        (ORGANS, [0, 255], 255),
    ],
)
def test_an_unknown_value_of_a_mask_is_named_with_its_file(tmp_path, task, values, unknown):
    path = png(tmp_path / "a_mask.png", np.array([values], np.uint8))
    with pytest.raises(UserError, match=rf"a_mask\.png holds the label value {unknown}, "):
        read_labels(path, task, "classes")
