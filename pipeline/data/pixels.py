"""Read and write the pixels of 2D images: PNG and JPEG by pillow, TIFF by tifffile.

Pixels stay as they are stored: rows first, no rotation by a camera's tag. Alpha is dropped, since
it says what to show and not what was measured. Refused are palettes, several pages that are not
channels, and colour PNG of 16 bits, of which pillow would keep 8.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.data.limits import SMALLER, Limits
from pipeline.errors import UserError
from pipeline.files import write_bytes

SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg")
"""What a 2D image's file name ends in, in lower case."""

_LONGEST = 2**15 - 1
"""What the header of a NIfTI-1 file can hold, by which images are described."""

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_CHANNELS = {"1": 1, "L": 1, "LA": 1, "I": 1, "I;16": 1, "RGB": 3, "RGBA": 3}
"""Channels without alpha, by pillow's name of the pixels' kind."""


def is_image(path: Path) -> bool:
    """Whether the name of ``path`` is that of a 2D image, hidden ones apart."""
    return path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")


def read_pixels(path: Path) -> NDArray[Any]:
    """The pixels (rows, columns, channels) of a file that is read to its end.

    Raises:
        UserError: the file is missing, empty, truncated, damaged, larger than pillow allows, or of
            a kind that is refused.
    """
    with _sentences(path):
        stream = BytesIO(path.read_bytes())
        array = _tiff_pixels(stream) if _is_tiff(stream) else _pillow_pixels(stream)
        array = array.astype(np.uint8) if array.dtype == bool else array
        if array.dtype.kind not in "iuf":
            raise _Refused(f"holds pixels of type {array.dtype}: save whole or real numbers")
        return array if array.ndim == 3 else array[..., None]


def count_channels(path: Path) -> int:
    """Channels that ``read_pixels`` would give, from the header alone.

    Raises:
        UserError: the header cannot be read or is of a kind that is refused.
    """
    with _sentences(path), path.open("rb") as stream:
        if not _is_tiff(stream):
            return _CHANNELS[_opened(stream).mode]
        from tifffile import TiffFile

        with TiffFile(stream) as tiff:
            series = _only_series(tiff)
            channels = [
                n for axis, n in zip(series.axes, series.shape, strict=True) if axis in "SC"
            ]
            return sum(channels, -int(_has_alpha(series))) if channels else 1


def write_pixels(path: Path, array: NDArray[Any]) -> None:
    """Write ``array`` (rows, columns) whole or not at all, as PNG or TIFF by the name of ``path``.

    Raises:
        UserError: the folder cannot be written.
    """
    stream = BytesIO()
    if path.suffix.lower() == ".png":
        from PIL import Image

        Image.fromarray(array).save(stream, "PNG")
    else:
        from tifffile import imwrite

        imwrite(stream, array, photometric="minisblack", metadata=None)
    write_bytes(path, stream.getvalue())


class _Refused(Exception):  # noqa: N818 - it is what becomes of the file
    """What is wrong with a file and what to do, to stand behind its name."""


@contextmanager
def _sentences(path: Path) -> Iterator[None]:
    try:
        yield
    except _Refused as error:
        raise UserError(f"{path} {error}") from error
    except Exception as error:  # a decoder raises what it likes
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UserError(
            f"cannot read {path} ({reason}): copy it again from its source, "
            "or save it without compression"
        ) from error


def _is_tiff(stream: BinaryIO) -> bool:
    start = stream.read(8)
    stream.seek(0)
    if not start:
        raise _Refused("is empty: copy it again from its source")
    if not start.startswith((*_TIFF, _PNG, _JPEG)):
        raise _Refused("is no PNG, TIFF or JPEG image: give one")
    return start.startswith(_TIFF)


def _opened(stream: BinaryIO) -> Any:
    """A PNG or JPEG image whose pixels are not yet read."""
    from PIL import Image

    header = stream.read(26)
    stream.seek(0)
    if header.startswith(_PNG) and header[24:25] == b"\x10" and header[25:26] != b"\0":
        raise _Refused("is a colour PNG of 16 bits: save it as TIFF")
    try:
        image = Image.open(stream, formats=("PNG", "JPEG"))
    except Image.DecompressionBombError as error:
        raise _Refused(f"is too large ({error}): cut it into smaller images") from error
    if image.mode not in _CHANNELS:
        raise _Refused(f"has pixels of the kind {image.mode}: save it as grey or RGB")
    if getattr(image, "n_frames", 1) > 1:
        raise _Refused("holds several images: give one a file")
    _check_size((image.width, image.height, _CHANNELS[image.mode]))
    return image


def _pillow_pixels(stream: BinaryIO) -> NDArray[Any]:
    _opened(stream).verify()  # checksums, which reading the pixels does not look at
    stream.seek(0)
    image = _opened(stream)
    array = np.asarray(image)
    return array if array.ndim == 2 else array[..., : _CHANNELS[image.mode]]


def _tiff_pixels(stream: BinaryIO) -> NDArray[Any]:
    from tifffile import TiffFile

    with TiffFile(stream) as tiff:
        series = _only_series(tiff)
        whole = _is_whole(series, stream.seek(0, 2))
        array = np.asarray(series.asarray() if whole else [])
        if array.shape != series.shape:
            raise _Refused("is truncated or damaged: copy it again from its source")
        if series.axes in ("SYX", "CYX"):
            array = np.moveaxis(array, 0, -1)
        return array[..., :-1] if _has_alpha(series) else array


def _is_whole(series: Any, size: int) -> bool:
    """Whether all pixels lie in the file of ``size`` bytes; tifffile would fill up with zeros."""
    for page in series.pages:
        segments = list(zip(page.dataoffsets, page.databytecounts, strict=True))
        if len(segments) != prod(page.chunked) or not segments:
            return False
        if any(offset + count > size for offset, count in segments):
            return False
    return prod(series.shape) > 0


def _only_series(tiff: Any) -> Any:
    """The one image of a TIFF file, if it is one of grey values, colours or channels."""
    from PIL import Image
    from tifffile import PHOTOMETRIC

    series = tiff.series[0]
    if len(tiff.series) > 1 or series.axes not in ("YX", "YXS", "SYX", "CYX"):
        raise _Refused("holds several images: give one a file")
    kind = series.keyframe.photometric
    if kind not in (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB):
        name = getattr(kind, "name", kind)
        raise _Refused(f"has pixels of the kind {name}: save it as grey or RGB")
    pixels = series.keyframe.imagewidth * series.keyframe.imagelength
    if Image.MAX_IMAGE_PIXELS is not None and pixels > 2 * Image.MAX_IMAGE_PIXELS:
        raise _Refused(f"is too large ({pixels} pixels): cut it into smaller images")
    _check_size(series.shape)
    return series


def _check_size(sizes: Sequence[int]) -> None:
    if max(sizes) > _LONGEST:
        raise _Refused(f"is {max(sizes)} pixels long, and {_LONGEST} are the limit: {SMALLER}")
    limit, num_values = Limits.in_force().num_voxels, prod(sizes)
    if num_values > limit:
        raise _Refused(f"has {num_values} values, and {limit} are the limit: {SMALLER}")


def _has_alpha(series: Any) -> bool:
    from tifffile import EXTRASAMPLE

    alpha = (EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA)
    return any(extra in alpha for extra in series.keyframe.extrasamples)
