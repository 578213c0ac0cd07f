"""Files that are cut, flipped or of absurd headers, each with what must become of it.

A file is ``Hostile(name, make, codes, voxels)``: ``make`` writes it into a folder and gives its
path; it must be refused with one of ``codes``, or may be read as ``voxels`` where there are some.
"""

import gzip
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from pipeline.data.findings import CODES, Severity

SHAPE = (5, 6, 7)
VOXELS = np.random.default_rng(0).permutation(210).astype(np.int16).reshape(SHAPE)
REFUSED = frozenset(code for code, (severity, _) in CODES.items() if severity is Severity.REFUSED)
NUM_DIMS, DIM, DATATYPE, BITPIX, OFFSET, SLOPE, CODES_OF_FORMS, SROW, MAGIC = (
    40, 42, 70, 72, 108, 112, 252, 280, 344,
)  # fmt: skip
"""Where fields of NIfTI-1 stand, in bytes."""


@dataclass(frozen=True)
class Hostile:
    """See the module."""

    name: str
    make: Callable[[Path], Path]
    codes: frozenset[str] = frozenset()
    voxels: NDArray[np.generic] | None = None


def good(image_class: type = nib.Nifti1Image, order: str = "<", pair: bool = False) -> bytes:
    """The bytes of a good file; of a pair, of its header."""
    affine = np.eye(4)
    tilt = Rotation.from_euler("xyz", (8, -5, 12), degrees=True).as_matrix()
    affine[:3] = np.c_[tilt * (1.2, 1, 3), (11, -22, 33)]
    header = image_class.header_class(endianness=order)
    image = image_class(VOXELS, affine, header)
    image.set_qform(affine, 1)
    image.set_sform(affine, 1)
    content = bytearray(image.to_bytes())
    if pair:
        content[MAGIC : MAGIC + 3] = b"ni1"
        content[OFFSET : OFFSET + 4] = bytes(4)
        return bytes(content[:348])
    return bytes(content)


GOOD, GOOD2, BIG = good(), good(nib.Nifti2Image), good(order=">")
DATA = GOOD[352:]
ZIPPED = gzip.compress(GOOD, mtime=0)


def patched(*changes: tuple[int, str, object], content: bytes = GOOD) -> bytes:
    """``content`` with numbers put in: (where, format of ``struct``, numbers)."""
    changed = bytearray(content)
    for where, form, numbers in changes:
        values = numbers if isinstance(numbers, tuple) else (numbers,)
        struct.pack_into("<" + form, changed, where, *values)
    return bytes(changed)


def flipped(content: bytes, position: int) -> bytes:
    """``content`` with one bit turned, a different one in neighbouring bytes."""
    changed = bytearray(content)
    changed[position] ^= 1 << (position % 8)
    return bytes(changed)


def file(
    name: str, content: bytes, *codes: str, voxels: object = None, suffix: str = ".nii.gz"
) -> Hostile:
    """One file of ``content``; refused with one of ``codes`` unless read as ``voxels``."""

    def make(folder: Path) -> Path:
        path = folder / f"image{suffix}"
        path.write_bytes(content)
        return path

    return Hostile(name, make, frozenset(codes), None if voxels is None else np.asarray(voxels))


def cuts() -> Iterator[Hostile]:
    """Ends at every structural boundary, beside it, and on the way."""
    ends = (1, 3, 4, 40, 42, 56, 70, 72, 76, 108, 112, 120, 252, 280, 328, 344, 347, 348, 349)
    for end in (*ends, 351, 352, 353, 354, 500, len(GOOD) - 2, len(GOOD) - 1):
        codes = ("not-nifti", "truncated") if end < 4 else ("truncated",)
        yield file(f"plain up to byte {end}", GOOD[:end], *codes, suffix=".nii")
        yield file(f"zip of {end} bytes", gzip.compress(GOOD[:end]), *codes)
    for end in (4, 12, 16, 80, 168, 344, 400, 500, 524, 539, 540, 541, 543, 544, 545, 700):
        yield file(f"NIfTI-2 up to byte {end}", GOOD2[:end], "truncated", suffix=".nii")
    yield file("nothing", b"", "empty-file")
    yield file("zip of nothing", gzip.compress(b""), "not-nifti")
    yield file("first byte of a zip", ZIPPED[:1], "not-nifti")
    for end in (2, 3, 4, 8, 9, 10, 11, 20, *range(40, len(ZIPPED) - 8, 25)):
        yield file(f"zip up to byte {end}", ZIPPED[:end], "damaged-gzip")
    for left in range(1, 10):
        yield file(f"zip without its last {left} bytes", ZIPPED[:-left], "damaged-gzip")


def flips() -> Iterator[Hostile]:
    """One bit turned in a header, in deflate data, and in the trailer."""
    for position in range(348):
        content = flipped(GOOD, position)
        slope, inter = struct.unpack_from("<2f", content, SLOPE)
        scaled = SLOPE <= position < SLOPE + 8 and slope != 0
        voxels = VOXELS * np.float64(slope) + np.float64(inter) if scaled else VOXELS
        yield file(f"bit in byte {position}", content, *REFUSED, voxels=voxels, suffix=".nii")
    for position in range(len(ZIPPED)):  # some bits are free: the time, what fills up a block
        codes = ("damaged-gzip",) if position > 1 else ("not-nifti",)
        content = flipped(ZIPPED, position)
        yield file(f"bit in byte {position} of a zip", content, *codes, voxels=VOXELS)


def sizes() -> Iterator[Hostile]:
    """Dimensions that are zero, negative, huge, or other than the data."""
    codes = ("dimensions", "truncated", "surplus-bytes", "too-large")
    for dims in (
        (3, 0, 6, 7, 1, 1, 1, 1), (3, 5, 6, 0, 1, 1, 1, 1), (3, -5, 6, 7, 1, 1, 1, 1),
        (3, -5, -6, 7, 1, 1, 1, 1), (0, 5, 6, 7, 1, 1, 1, 1), (1, 210, 1, 1, 1, 1, 1, 1),
        (8, 5, 6, 7, 1, 1, 1, 1), (-1, 5, 6, 7, 1, 1, 1, 1), (300, 5, 6, 7, 1, 1, 1, 1),
        (4, 5, 6, 7, 0, 1, 1, 1), (7, 5, 6, 7, 1, 1, 1, 0), (3, 4096, 4096, 2048, 1, 1, 1, 1),
        (3, 32767, 32767, 32767, 1, 1, 1, 1), (7,) + 7 * (32767,), (3, 5, 6, 6, 1, 1, 1, 1),
        (3, 5, 6, 8, 1, 1, 1, 1), (2, 5, 6, 7, 1, 1, 1, 1), (3, -1, 1, 1, 1, 1, 1, 1),
        (3, 27307, 1, 6, 1, 1, 1, 1), (3, -32768, -32768, 4, 1, 1, 1, 1),
    ):  # fmt: skip
        content = patched((NUM_DIMS, "8h", dims))
        yield file(f"{dims}", content, *codes, suffix=".nii")
        yield file(f"{dims}, zipped", gzip.compress(content), *codes)
    for dims in (
        (3, 2**62, 4, 4, 1, 1, 1, 1), (3, 2**32, 2**32, 2**32, 1, 1, 1, 1), (2**40,) + 7 * (1,),
        (3, -(2**63), 2, 1, 1, 1, 1, 1), (3, 2**63 - 1, 1, 1, 1, 1, 1, 1), (3, 0, 0, 0, 0, 0, 0, 0),
    ):  # fmt: skip
        content = patched((16, "8q", dims), content=GOOD2)
        yield file(f"NIfTI-2 {dims}", content, *codes, suffix=".nii")
        yield file(f"NIfTI-2 {dims}, zipped", gzip.compress(content), *codes)


def fields() -> Iterator[Hostile]:
    """Other numbers of the header that cannot be."""
    for magic in (b"ni1\0", b"n+9\0", b"N+1\0", bytes(4), b"\xff" * 4):
        yield file(f"magic {magic!r}", patched((MAGIC, "4s", magic)), "not-nifti")
    for size in (0, 347, 349, -1, 2**31 - 1, 540):
        yield file(f"header of {size} bytes", patched((0, "i", size)), *REFUSED)
    swapped = patched((0, "4s", (348).to_bytes(4, "big")))
    yield file("another byte order in the first number", swapped, *REFUSED)
    for code, bits in ((128, 24), (2304, 32), (32, 64), (1792, 128), (1, 1), (1536, 128), (0, 16),
                       (9999, 16), (-1, 16), (4, 32), (4, 0), (16, 16), (255, 0)):  # fmt: skip
        content = patched((DATATYPE, "2h", (code, bits)))
        yield file(f"type {code} of {bits} bits", content, "data-type")
    for offset in (0, 100, 348, 351, -352, 352.5, 1e9, 3e38, np.nan, np.inf, -np.inf):
        yield file(f"voxels from byte {offset}", patched((OFFSET, "f", offset)), "data-offset")
    for offset in (353, 360, 368, 1e6):
        content = patched((OFFSET, "f", offset))
        yield file(f"voxels from byte {offset}", content, "truncated", suffix=".nii")
    for slope, inter in ((np.inf, 0), (-np.inf, 0), (1, np.nan), (2, np.inf), (np.inf, np.nan)):
        content = patched((SLOPE, "2f", (slope, inter)))
        yield file(f"values times {slope} plus {inter}", content, "scaling")
    for slope, inter, voxels in (
        (0, 9, VOXELS), (np.nan, 9, VOXELS), (0.5, -3, VOXELS * 0.5 - 3), (-1, 0, VOXELS * -1.0),
        (1, 1e30, VOXELS + np.float64(np.float32(1e30))),
    ):  # fmt: skip
        content = patched((SLOPE, "2f", (slope, inter)))
        yield file(f"values times {slope} plus {inter}", content, voxels=voxels)


def affines() -> Iterator[Hostile]:
    """Where voxels are, if it cannot be computed or is nonsense."""
    codes = ("affine", "spacing")
    nan, inf = np.nan, np.inf
    for position in range(12):
        for number in (nan, inf):
            content = patched((SROW + 4 * position, "f", number))
            yield file(f"{number} at {position} of the sform", content, *codes)
    for name, rows in {
        "zeros": (0,) * 12, "two parallel axes": (1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0),
        "all in a plane": (1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0),
        "tiny": 3 * (1e-30, 2e-30, 5e-30, 0),
        "huge": (3e38, 0, 0, 0, 0, 3e38, 0, 0, 0, 0, 3e38, 0),
        "one long axis": (1e5, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0),
        "micrometres": (1e-4, 0, 0, 0, 0, 1e-4, 0, 0, 0, 0, 1e-4, 0),
    }.items():  # fmt: skip
        yield file(f"sform of {name}", patched((SROW, "12f", rows)), *codes)
    for forms in ((99, 1), (1, 99), (-1, 1), (1, -1), (6, 0), (0, 257)):
        yield file(f"codes {forms}", patched((CODES_OF_FORMS, "2h", forms)), "affine")
    for name, numbers in {
        "NaN": (nan, 0, 0),
        "infinity": (inf, 0, 0),
        "no rotation": (3, 4, 5),
    }.items():
        content = patched((CODES_OF_FORMS, "2h3f", (1, 0, *numbers)))
        yield file(f"quaternion of {name} alone", content, "affine")
        content = patched((CODES_OF_FORMS, "2h3f", (1, 1, *numbers)))
        yield file(f"quaternion of {name} beside a good sform", content, voxels=VOXELS)
    for name, numbers in {
        "zero": (1, 0, 1, 1),
        "NaN": (1, nan, 1, 1),
        "huge": (1, 1e30, 1, 1),
    }.items():
        content = patched((76, "4f", numbers), (CODES_OF_FORMS, "2h", (1, 0)))
        yield file(f"spacing {name} of a qform", content, *codes)
    for numbers in ((0, 1, 1, 1), (5, 1, 1, 1), (nan, 1, 1, 1), (-1, 1, 1, 1), (1, -1, 1, -1)):
        content = patched((76, "4f", numbers), (CODES_OF_FORMS, "2h", (1, 0)))
        yield file(f"qfac and spacing {numbers}", content, voxels=VOXELS)
