"""Read DICOM series by SimpleITK's GDCM reader; damaged geometry ends in one sentence.

Sentences name a series by its number and the pseudonym of its study, never by path or patient.
"""

import hashlib
import locale
import math
import os
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from pipeline.data.dicom_headers import NoSliceError, read_slice
from pipeline.data.limits import SMALLER, Limits
from pipeline.data.slices import Slice, is_dicom, is_scan, is_stub, is_whole, stacked
from pipeline.data.volumes import Volume, is_volume
from pipeline.errors import UserError


@dataclass(frozen=True)
class Series:
    """The slices of one series in one folder.

    Args:
        tags: texts that all slices share, by the names of ``TAGS``; empty where absent.
        slices: in no order.
        beside_damage: whether the folder has a scan that cannot be read, which may be one of them.
    """

    tags: dict[str, str]
    slices: tuple[Slice, ...]
    beside_damage: bool = False

    @property
    def path(self) -> Path:
        """Stands for the series: the file that comes first by name."""
        return min(one.path for one in self.slices)

    @property
    def case(self) -> str:
        """A stable pseudonym of the study.

        Of the folder where the study names neither itself nor the patient. It is a hash without
        salt: who can list the identifiers that it may stand for, such as short numbers of patients,
        can find the one that it does.
        """
        study, patient = self.tags["study"], self.tags["patient"]
        if study or patient:
            return hidden(f"{study}\n{patient}")
        return hidden(str(self.path.parent.absolute()))

    @property
    def name(self) -> str:
        """As a sentence names it."""
        return f"series {self.tags['number'] or '?'} of case {self.case}"


def dicom_files(folder: Path, on_error: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    """The DICOM files below ``folder``, hidden ones and links apart.

    Args:
        folder: where to look.
        on_error: called for each folder that the system refuses to list.
    """
    for name, folders, files in os.walk(folder, onerror=on_error):
        folders[:] = sorted(
            inner for inner in folders if not inner.startswith(".") and inner != "lost+found"
        )
        for file in sorted(files):
            if not file.startswith(".") and is_dicom(Path(name, file)):
                yield Path(name, file)


@contextmanager
def locale_kept() -> Iterator[None]:
    """GDCM sets the locale of the whole process to "C", in which Python reads text as ASCII."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)


@locale_kept()
def find_series(files: Iterable[Path]) -> list[Series]:
    """The series of ``files``, by number; what is no image in space is left out.

    Raises:
        UserError: SimpleITK is not installed.
    """
    found: dict[tuple[Path, str], tuple[dict[str, str], list[Slice]]] = {}
    names: dict[Path, set[str]] = defaultdict(set)  # of slices, by folder
    damaged: set[Path] = set()
    for file in files:
        try:
            tags, one = read_slice(file)
        except NoSliceError:
            if is_stub(file) or is_scan(file):
                damaged.add(file.parent)
            continue
        names[file.parent] |= _likenesses(file)
        found.setdefault((file.parent, tags["series"]), (tags, []))[1].append(one)
    damaged |= {folder for folder in names if _has_stub(folder, names[folder])}
    series = [
        Series(tags, tuple(slices), folder in damaged)
        for (folder, _), (tags, slices) in found.items()
    ]
    return sorted(series, key=lambda one: (one.case, len(one.tags["number"]), one.tags["number"]))


def _has_stub(folder: Path, names: Collection[str]) -> bool:
    """Whether a file is cut off or closed that is named like slices are."""
    seen = (file for file in folder.iterdir() if not file.name.startswith("."))
    alike = (file for file in seen if not _likenesses(file).isdisjoint(names))
    return any(is_stub(file) for file in alike if file.is_file())


def _likenesses(file: Path) -> set[str]:
    """What names of slices have in common: all but their digits, or a suffix of letters."""
    without_digits = re.sub(r"\d", "", file.name)
    has_letters = file.suffix.strip(".0123456789") != ""
    return {without_digits, f"*{file.suffix}"} if has_letters else {without_digits}


def series_of(path: Path) -> Series:
    """The series in whose folder ``path``, one of its files, lies.

    Raises:
        UserError: ``path`` is no slice, or SimpleITK is not installed.
    """
    siblings = (file for file in sorted(path.parent.iterdir()) if is_dicom(file))
    for series in find_series(siblings):
        if any(one.path == path for one in series.slices):
            return series
    raise UserError(f"{path} is no slice of a DICOM image: give the folder of a series")


def pseudonym(images: Iterable[Path]) -> str | None:
    """How a case of ``images`` is named if one of them is DICOM, else None.

    A DICOM file that cannot be read as a slice is hidden behind a hash of its path.
    """
    path = next((path for path in images if not is_volume(path) and is_dicom(path)), None)
    if path is None:
        return None
    try:
        return series_of(path).case
    except UserError:
        return hidden(str(path.absolute()))


def only_series(folder: Path) -> Series:
    """The one series directly in ``folder``.

    Raises:
        UserError: there is none, or several.
    """
    series = find_series(file for file in sorted(folder.iterdir()) if is_dicom(file))
    if len(series) != 1:
        raise UserError(f"{folder} holds {len(series)} DICOM series: give a folder of one")
    return series[0]


@locale_kept()
def read_series(path: Path) -> Volume:
    """The volume (H, W, D) of the series that ``path`` is a slice of, rescaled as it says.

    Raises:
        UserError: the slices do not make up a volume, one larger than allowed, or a file is
            damaged.
    """
    import SimpleITK as sitk

    series = series_of(path)
    ordered, header = _stack(series)
    reader = sitk.ImageSeriesReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileNames([str(one.path) for one in ordered])
    reader.SetOutputPixelType(sitk.sitkFloat32)  # each slice may have a slope of its own
    num_voxels, limit = math.prod(header.get_data_shape()), Limits.in_force().num_voxels
    if num_voxels > limit:
        raise UserError(
            f"{series.name} has {num_voxels} voxels, and {limit} are the limit: {SMALLER}"
        )
    damaged = UserError(f"{series.name} is damaged: copy it again from its source")
    if not all(is_whole(one.path, _num_bytes(series)) for one in ordered):
        raise damaged
    try:
        pixels = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise damaged from error
    # ITK stacks slices of one row as if they were rows; the order in memory is the same.
    return Volume(pixels.reshape(header.get_data_shape()[::-1]).transpose(2, 1, 0), header)


def series_header(path: Path) -> Any:
    """The NIfTI header of the volume of the series that ``path`` is a slice of, without voxels.

    Raises:
        UserError: the slices do not make up a volume.
    """
    return _stack(series_of(path))[1]


def check_series(series: Series) -> None:
    """Refuse slices that do not make up a volume.

    Raises:
        UserError: with the name of the series.
    """
    _stack(series)


def _stack(series: Series) -> tuple[list[Slice], Any]:
    for tag, what in (("frames", "files of several frames"), ("samples", "colours")):
        if series.tags[tag] not in ("", "1"):
            raise UserError(f"{series.name} has {what}: convert it to NIfTI by another program")
    if series.beside_damage:
        raise UserError(f"{series.name} lies beside a damaged file: copy its folder again")
    ordered, affine = stacked(series.slices, series.name)
    header_class: Any = nib.Nifti1Header
    header = header_class()
    header.set_data_dtype(np.float32)
    header.set_data_shape((*ordered[0].size, len(ordered)))
    header.set_qform(affine, code="scanner")
    header.set_sform(affine, code="scanner")
    header.set_xyzt_units("mm")
    return ordered, header


def _num_bytes(series: Series) -> int:
    """Of the pixels of one slice, stored plainly."""
    columns, rows = series.slices[0].size
    return columns * rows * (int(series.tags["bits"] or 16) // 8)


def hidden(identity: str) -> str:
    """A pseudonym that stands for ``identity``: see ``Series.case``."""
    return f"dicom-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
