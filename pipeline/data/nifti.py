"""The headers of NIfTI-1 and NIfTI-2 files, each claim checked before it is believed.

Source: the headers nifti1.h and nifti2.h of the NIfTI Data Format Working Group.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.nifti1 import data_type_codes, xform_codes
from nibabel.spatialimages import HeaderDataError
from nibabel.volumeutils import apply_read_scaling
from numpy.typing import NDArray

from pipeline.data.findings import FileUserError, refusal, shown
from pipeline.data.limits import BYTES_A_VOXEL, Limits
from pipeline.data.sources import AGAIN

HEADER_SIZES = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
"""How long a header is, which is also its first number, and the class of its fields."""

WRITE_AGAIN = "write it again with a tool that follows NIfTI"
"""What to do with a header that is wrong."""

_TURN = ("quatern_b", "quatern_c", "quatern_d")
_ROUNDING = 1e-12
"""By which the square of a turn may exceed 1, as double precision leaves it; nibabel takes less."""

_MAGIC = {b"n+1": False, b"n+2": False, b"ni1": True, b"ni2": True}  # whether voxels are elsewhere
_LARGEST_OFFSET = 2**28  # bytes of extensions before the voxels
_OTHER_KINDS = {
    b"PK\x03\x04": "a zip archive",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"\x89PNG": "a PNG image",
    b"NRRD": "an NRRD file",
}


@dataclass(frozen=True)
class Layout:
    """Where the voxels are and what they mean, as a checked header says.

    Args:
        shape: two to seven axes, the first runs fastest in the file.
        dtype: with the byte order of the file.
        offset: bytes before the first voxel.
        scaling: slope and intercept of the values, (None, None) if there are none.
        apart: whether the voxels stand in an ``.img`` file of their own.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    scaling: tuple[float | None, float | None]
    apart: bool

    @property
    def num_bytes(self) -> int:
        """Of the voxels."""
        return self.num_voxels * self.dtype.itemsize

    @property
    def num_voxels(self) -> int:
        """Of all channels."""
        return math.prod(self.shape)

    @property
    def num_bytes_read(self) -> int:
        """What reading all voxels takes; scaled values are float64 beside what they come from."""
        scales = self.scaling not in ((None, None), (1, 0))
        return self.num_bytes + (BYTES_A_VOXEL * self.num_voxels if scales else 0)

    def fits(self, limits: Limits) -> bool:
        """Whether ``limits`` allow to read all voxels."""
        return self.num_bytes <= limits.num_bytes and self.num_voxels <= limits.num_voxels

    def scaled(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """The values that ``voxels`` of the file stand for."""
        with np.errstate(all="ignore"):
            return apply_read_scaling(voxels, *self.scaling)


def parse_header(content: bytes, path: Path) -> tuple[Any, Layout]:
    """The header that ``content`` begins with, and what it says of the voxels.

    Raises:
        FileUserError: with the code of what is wrong; it names ``path``.
    """
    size, order = size_and_order(content, path)
    if len(content) < size:
        raise truncated(path, size, len(content))
    header_class: Any = HEADER_SIZES[size]
    header = header_class(content[:size], endianness=order, check=False)
    apart = _MAGIC.get(bytes(header["magic"].item())[:3])
    if apart is None:
        what = "has no NIfTI magic in its header"
        raise refusal("not-nifti", path, what, "convert it from Analyze to NIfTI")
    layout = Layout(
        _shape(header, path),
        _data_type(header, path),
        _offset(header, 0 if apart else size + 4, path),
        _scaling(header, path),
        apart,
    )
    _mend(header)
    _check_affine(header, path)
    return header, layout


def size_and_order(content: bytes, path: Path) -> tuple[int, str]:
    """How long the header is that ``content`` begins with, and its byte order, "<" or ">".

    Raises:
        FileUserError: there is no NIfTI header; it names ``path``.
    """
    for order in "<>":
        size = int.from_bytes(content[:4], "little" if order == "<" else "big")
        if size in HEADER_SIZES:
            return size, order
    kind = next((kind for start, kind in _OTHER_KINDS.items() if content.startswith(start)), None)
    kind = "a DICOM file" if content[128:132] == b"DICM" else kind
    what = f"is no NIfTI file but {kind}" if kind else "is no NIfTI file"
    raise refusal("not-nifti", path, what, "give a .nii or .nii.gz")


def truncated(path: Path, needed: int, held: int) -> FileUserError:
    """The error of a file of ``held`` bytes that should have as many as are ``needed``."""
    sentence = (
        f"{shown(path)} is truncated: its header says {needed} bytes and it holds {held}; {AGAIN}"
    )
    return FileUserError(sentence, "truncated", path)


def _shape(header: Any, path: Path) -> tuple[int, ...]:
    num_axes, *sizes = (int(size) for size in header["dim"])
    shape = tuple(sizes[: max(0, num_axes)])
    if not 2 <= num_axes <= 7 or min(shape) < 1:
        what = f"has {num_axes} axes of sizes {shape} in its header"
        raise refusal("dimensions", path, what, WRITE_AGAIN)
    return shape


def _data_type(header: Any, path: Path) -> np.dtype[Any]:
    code, bits = int(header["datatype"]), int(header["bitpix"])
    if code not in data_type_codes.value_set():
        raise refusal("data-type", path, f"has the unknown data type {code}", WRITE_AGAIN)
    known: Any = data_type_codes.dtype[code]
    dtype: np.dtype[Any] = np.dtype(known)
    if dtype.kind not in "iuf" or dtype.itemsize not in (1, 2, 4, 8):
        name = data_type_codes.label[code]
        what = f"holds voxels of type {name}, not grey values"
        raise refusal("data-type", path, what, "convert it to integers or float32")
    if bits != 8 * dtype.itemsize:
        what = f"says {bits} bits a voxel and a type of {8 * dtype.itemsize}"
        raise refusal("data-type", path, what, WRITE_AGAIN)
    return dtype.newbyteorder(header.endianness)


def _offset(header: Any, smallest: int, path: Path) -> int:
    offset = float(header["vox_offset"])
    if not (offset.is_integer() and smallest <= offset <= _LARGEST_OFFSET):
        what = f"puts its first voxel at byte {offset:g}"
        raise refusal("data-offset", path, what, WRITE_AGAIN)
    return int(offset)


def _scaling(header: Any, path: Path) -> tuple[float | None, float | None]:
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if math.isinf(slope) or (slope and not math.isnan(slope) and not math.isfinite(inter)):
        what = f"scales its voxels by {slope:g} and {inter:g}"
        raise refusal("scaling", path, what, WRITE_AGAIN)
    return (None, None) if slope == 0 or math.isnan(slope) else (slope, inter)


def _mend(header: Any) -> None:
    """Set what has one reading only: a qfac of 0 is 1, spacings have no sign, turns are units."""
    pixdim = header["pixdim"]
    pixdim[0] = -1 if pixdim[0] < 0 else 1
    pixdim[1:4] = np.abs(pixdim[1:4])
    turn = np.array([header[name] for name in _TURN], np.float64)
    with np.errstate(all="ignore"):
        too_long = turn @ turn - 1
    if abs(header.quaternion_threshold) <= too_long < _ROUNDING:
        for name, part in zip(_TURN, turn / np.linalg.norm(turn), strict=True):
            header[name] = part


def _check_affine(header: Any, path: Path) -> None:
    for name in ("qform_code", "sform_code"):
        if int(header[name]) not in xform_codes.value_set():
            what = f"has the unknown {name} {header[name]}"
            raise refusal("affine", path, what, WRITE_AGAIN)
    try:
        with np.errstate(all="ignore"):
            affine = np.asarray(header.get_best_affine(), np.float64)
            lengths = np.linalg.norm(affine[:3, :3], axis=0)
            regular = np.isfinite(affine).all() and lengths.min() > 0
            # Axes of a length that span less than a thousandth of a box lie in a plane.
            usable = regular and abs(np.linalg.det(affine[:3, :3] / lengths)) > 1e-3
    except (HeaderDataError, ValueError, ArithmeticError):
        usable = False
    if not usable:
        what = "has an affine that is not finite and invertible"
        raise refusal("affine", path, what, "repair its header")
