"""Read and write volumes: NIfTI and 2D images, and DICOM to read; damage ends in one sentence."""

from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from pipeline import grids
from pipeline.data import pixels
from pipeline.data.nifti_files import read_nifti, read_nifti_header
from pipeline.data.slices import is_dicom
from pipeline.data.zipping import zipped
from pipeline.files import write_pieces

SUFFIXES = (".nii.gz", ".nii", ".hdr.gz", ".hdr")
"""What a volume's file name ends in, in lower case."""


@dataclass(frozen=True)
class Volume:
    """Voxels and where they are.

    Args:
        array: (H, W, D), or (H, W, D, C) of a file with several channels.
        header: of the file, as nibabel holds it; a 2D image (H, W, 1) says nothing of millimetres
            and gets one of 1 mm a pixel, rows along x and columns along y.
    """

    array: NDArray[Any]
    header: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return self.array.shape

    @cached_property
    def affine(self) -> NDArray[np.float64]:
        """From voxel indices to millimetres (RAS), 4 x 4."""
        return np.asarray(self.header.get_best_affine(), dtype=np.float64)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres per voxel along each axis."""
        return grids.spacing(self.affine)


def stem(path: Path) -> str:
    """File name without the suffix of a volume or 2D image.

    Examples:
        >>> stem(Path("a/case.1.nii.gz"))
        'case.1'
    """
    for suffix in (*SUFFIXES, *pixels.SUFFIXES):
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.name


def is_volume(path: Path) -> bool:
    """Whether the name of ``path`` is that of a NIfTI file, hidden ones apart."""
    return path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")


def is_nifti(path: Path) -> bool:
    """Whether ``path`` is read as a NIfTI file, and not as a 2D image or a DICOM series."""
    return not pixels.is_image(path) and (is_volume(path) or not is_dicom(path))


def read_volume(path: Path) -> Volume:
    """Read a NIfTI file, 2D image or DICOM series to its end, so that its checksum is verified.

    Raises:
        UserError: what ``pipeline.data.nifti_files.read_nifti``,
            ``pipeline.data.pixels.read_pixels`` or ``pipeline.data.dicom.read_series`` refuses.
    """
    if pixels.is_image(path):
        return _slice(pixels.read_pixels(path))
    if not is_nifti(path):
        from pipeline.data.dicom import read_series

        return read_series(path)
    array, header = read_nifti(path)
    return Volume(array.reshape(array.shape + (1,) * (3 - array.ndim)), header)


def read_header(path: Path) -> Any:
    """The header of a file that ``read_volume`` has accepted."""
    if pixels.is_image(path):
        return read_volume(path).header
    if not is_nifti(path):
        from pipeline.data.dicom import series_header

        return series_header(path)
    return read_nifti_header(path)


def write_volume(path: Path, array: NDArray[Any], like: Any) -> None:
    """Write ``array`` (H, W, D) whole or not at all, on the grid that the header ``like`` says.

    Affine, qform and sform with their codes, and units are those of ``like``, and a slice has two
    axes if ``like`` has; its texts are not copied, since they may name a patient. A ``path`` of a
    2D image gets the pixels alone.

    Raises:
        UserError: the folder cannot be written.
    """
    if pixels.is_image(path):
        pixels.write_pixels(path, array[..., 0])
        return
    if len(like.get_data_shape()) == 2:
        array = array[..., 0]
    array = array.astype(array.dtype.newbyteorder("="), copy=False)  # that of the header
    content = header_bytes(like, array.shape, array.dtype) + array.tobytes(order="F")
    zips = path.name.lower().endswith(".gz")
    write_pieces(path, zipped(BytesIO(content)) if zips else (content,))


def header_bytes(like: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """What stands before the voxels in a file of one on the grid that the header ``like`` says."""
    header_class: Any = nib.Nifti2Header if isinstance(like, nib.Nifti2Header) else nib.Nifti1Header
    header = header_class()
    for field in ("qform_code", "sform_code", "xyzt_units", "quatern_b", "quatern_c", "quatern_d"):
        header[field] = like[field]
    for field in ("qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"):
        header[field] = like[field]
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    header["pixdim"][:4] = like["pixdim"][:4]
    no_extension = bytes(4)
    header.set_data_offset(len(header.binaryblock) + len(no_extension))
    return bytes(header.binaryblock) + no_extension


def _slice(array: NDArray[Any]) -> Volume:
    """The volume of one slice that pixels (rows, columns, channels) make."""
    header_class: Any = nib.Nifti1Header
    header = header_class()
    header.set_data_shape((*array.shape[:2], 1))
    header.set_sform(np.eye(4), code="aligned")
    return Volume(array if array.shape[2] == 1 else array[:, :, None], header)
