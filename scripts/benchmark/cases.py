"""Folders of cases: links to real ones, and synthetic volumes."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np

from pipeline.data.cases import Case
from pipeline.tasks import Task

_TILE = 64  # voxels; a volume repeats this, so that it packs well and is quickly made


def linked(folder: Path, cases: dict[str, Case], task: Task) -> Path:
    """A cohort at ``folder`` of links ``<name>/<modality>.nii.gz``."""
    for name, case in cases.items():
        (folder / name).mkdir(parents=True)
        for modality, (path, _) in zip(task.modalities, case.images, strict=True):
            suffix = ".nii.gz" if path.name.endswith(".gz") else ".nii"
            (folder / name / f"{modality}{suffix}").symlink_to(path.resolve())
    return folder


def synthetic(folder: Path, shape: tuple[int, int, int]) -> Path:
    """A cohort of one volume of smooth noise, no voxel of which is zero."""
    home = folder / "volume"
    home.mkdir(parents=True)
    coarse = np.random.default_rng(0).integers(100, 1000, (_TILE // 8,) * 3)
    tile = coarse.repeat(8, 0).repeat(8, 1).repeat(8, 2).astype(np.int16)
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape(shape)
    header.set_qform(np.eye(4), 1)
    header.set_sform(np.eye(4), 1)
    header.set_xyzt_units("mm")
    header["vox_offset"], header["magic"] = 352, b"n+1"
    plane_tiles = [-(-size // _TILE) for size in shape[:2]]
    planes = np.tile(tile, (*plane_tiles, 1))[: shape[0], : shape[1]]
    with gzip.open(home / "MRI.nii.gz", "wb", compresslevel=1) as file:
        file.write(header.binaryblock + bytes(4))
        for z in range(shape[2]):
            file.write(planes[..., z % _TILE].tobytes(order="F"))
    return folder
