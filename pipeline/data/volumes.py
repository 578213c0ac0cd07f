"""Read and write NIfTI volumes; a damaged file ends in one sentence."""

import gzip
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from pipeline import grids
from pipeline.errors import UserError
from pipeline.files import write_bytes

SUFFIXES = (".nii.gz", ".nii")
"""What a volume's file name ends in, in lower case."""

_UNREADABLE = (
    ImageFileError,
    HeaderDataError,
    WrapStructError,
    ValueError,
    KeyError,
    OverflowError,
)


@dataclass(frozen=True)
class Volume:
    """Voxels and where they are.

    Args:
        array: (H, W, D), or (H, W, D, C) of a file with several channels.
        header: of the file, as nibabel holds it.
    """

    array: NDArray[Any]
    header: Any

    @cached_property
    def affine(self) -> NDArray[np.float64]:
        """From voxel indices to millimetres (RAS), 4 x 4."""
        return np.asarray(self.header.get_best_affine(), dtype=np.float64)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres per voxel along each axis."""
        return grids.spacing(self.affine)


def stem(path: Path) -> str:
    """File name without the suffix of a volume.

    Examples:
        >>> stem(Path("a/case.1.nii.gz"))
        'case.1'
    """
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.name


def is_volume(path: Path) -> bool:
    """Whether the name of ``path`` is that of a NIfTI file, hidden ones apart."""
    return path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")


def read_volume(path: Path) -> Volume:
    """Read a ``.nii`` or ``.nii.gz`` file to its end, so that gzip's checksum is verified.

    Raises:
        UserError: the file is missing, empty, truncated, damaged, no NIfTI, or has no usable
            affine.
    """
    content = _content(path)
    try:
        image = _parse(content)
        shape, dtype = image.header.get_data_shape(), image.header.get_data_dtype()
        needed = image.dataobj.offset + int(np.prod(shape, dtype=object)) * dtype.itemsize
        if needed > len(content):
            raise UserError(
                f"{path} is truncated: its header says {needed} bytes and it holds {len(content)}; "
                "copy it again from its source"
            )
        array = np.asanyarray(image.dataobj)
    except _UNREADABLE as error:
        raise UserError(f"{path} is no NIfTI file ({error}): give a .nii or .nii.gz") from error
    if array.ndim < 2 or array.dtype.kind not in "iuf":
        raise UserError(
            f"{path} holds no grey-value volume: its shape is {shape}, its type {dtype}"
        )
    array = array.reshape(array.shape + (1,) * (3 - array.ndim))
    volume = Volume(array, image.header)
    linear = volume.affine[:3, :3]
    if not np.isfinite(volume.affine).all() or abs(np.linalg.det(linear)) < 1e-12:
        raise UserError(
            f"{path} has an affine that is not finite and invertible: repair its header"
        )
    return volume


def read_header(path: Path) -> Any:
    """The header of a file that ``read_volume`` has accepted."""
    return _parse(_content(path)).header


def write_volume(path: Path, array: NDArray[Any], like: Any) -> None:
    """Write ``array`` (H, W, D) whole or not at all, on the grid that the header ``like`` says.

    Affine, qform and sform with their codes, and units are those of ``like``; its texts are not
    copied, since they may name a patient.

    Raises:
        UserError: the folder cannot be written.
    """
    image_class: Any = nib.Nifti2Image if isinstance(like, nib.Nifti2Header) else nib.Nifti1Image
    header = image_class.header_class()
    for field in ("qform_code", "sform_code", "xyzt_units", "quatern_b", "quatern_c", "quatern_d"):
        header[field] = like[field]
    for field in ("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"):
        header[field] = like[field]
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    header["pixdim"][:4] = like["pixdim"][:4]
    content = image_class(array, None, header).to_bytes()
    if path.name.lower().endswith(".gz"):
        content = gzip.compress(content, compresslevel=6, mtime=0)
    write_bytes(path, content)


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if not content:
        raise UserError(f"{path} is empty: copy it again from its source")
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}): copy it again from its source") from error


def _parse(content: bytes) -> Any:
    is_nifti2 = 540 in (int.from_bytes(content[:4], order) for order in ("little", "big"))
    return (nib.Nifti2Image if is_nifti2 else nib.Nifti1Image).from_bytes(content)
