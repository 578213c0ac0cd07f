"""Images with a bright structure, segmented by a stand-in network that marks what is bright."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from pipeline.data.cases import Case
from pipeline.data.loaders import record
from pipeline.data.volumes import read_header
from pipeline.inference.inferer import Windows
from pipeline.inference.predictions import prediction_path, write_prediction
from pipeline.tasks import Task
from pipeline.transforms import Restore, preprocessing

TASK = Task(("mri",), classes=("background", "structure"))
DARK, THRESHOLD, BRIGHT = 10, 105, 200
OWN_GRID = {"foreground_margin": None, "intensity": None, "spacing": None}
ORIENTATIONS = [
    tuple(sign * axis for sign, axis in zip(signs, axes, strict=True))
    for axes in permutations((1, 2, 3))
    for signs in product((1, -1), repeat=3)
]
"""The 48 ways in which the axes of an array can run: 1 to 3 is to right, front and top."""


def grid(
    orientation: Sequence[int],
    spacing: Sequence[float],
    angles: Sequence[float] = (0, 0, 0),
    origin: Sequence[float] = (-20, 13, 7),
) -> np.ndarray:
    """The affine of axes that run as ``orientation`` says, then turned by ``angles`` (degrees)."""
    axes = np.zeros((3, 3))
    for column, axis in enumerate(orientation):
        axes[abs(axis) - 1, column] = np.sign(axis)
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    affine[:3, :3] = turn @ axes @ np.diag(spacing)
    affine[:3, 3] = origin
    return affine


@dataclass(frozen=True)
class File:
    """How a NIfTI file says where its voxels are, and how it stores them.

    Args:
        qform: affine and code, or None.
        sform: likewise; it holds where both are there.
        dtype: as numpy writes it, with the byte order.
        scaling: slope and intercept of the stored numbers.
        units: of space and time.
        kind: of the header.
    """

    qform: tuple[np.ndarray, int] | None
    sform: tuple[np.ndarray, int] | None
    dtype: str = "<i2"
    scaling: tuple[float, float] = (1, 0)
    units: tuple[str, str] = ("mm", "unknown")
    kind: type = nib.Nifti1Image

    @property
    def affine(self) -> np.ndarray:
        forms = [form for form in (self.sform, self.qform) if form is not None]
        return forms[0][0]

    @property
    def readable(self) -> bool:
        """Whether nibabel reads the qform that it writes, which rounding can prevent."""
        header = self.kind.header_class()
        try:
            header.set_qform(*(self.qform or (None, 0)))
            header.get_qform()
        except ValueError:
            return False
        return True

    def write(self, path: Path, values: np.ndarray) -> None:
        """Write ``values``, of which the file stores what its scaling makes them of."""
        slope, intercept = self.scaling
        header = self.kind.header_class(endianness=self.dtype[0])
        header.set_data_dtype(self.dtype)
        header.set_data_shape(values.shape)
        header.set_zooms([*nib.affines.voxel_sizes(self.affine), *[1] * (values.ndim - 3)])
        if self.qform is not None:
            header.set_qform(*self.qform)
        if self.sform is not None:
            header.set_sform(*self.sform)
        header.set_xyzt_units(*self.units)
        stored = ((values - intercept) / slope).astype(self.dtype)
        image = self.kind(stored, None, header)
        image.header.set_slope_inter(slope, intercept)
        nib.save(image, path)


def speckled(shape: Sequence[int], seed: int, bright: int = BRIGHT) -> np.ndarray:
    """Voxels that are zero, dark or bright at random, one of them bright at least."""
    random = np.random.default_rng(seed)
    values = random.choice([0, DARK, bright], shape)
    values.flat[random.integers(values.size)] = bright
    return values


def threshold(image: torch.Tensor) -> torch.Tensor:
    """Stands in for a network: marks what is bright in the first modality."""
    above = 20 * (image[:, :1] - THRESHOLD)
    return torch.cat([-above, above], dim=1)


def segment(
    case: Case, output: Path, recipe: dict[str, Any], patch: Sequence[int], task: Task = TASK
) -> nib.Nifti1Image:
    """The prediction of ``case`` as it is written."""
    steps = preprocessing(OWN_GRID | recipe, task)
    sample = steps(record(case, None))
    logits = Windows(len(patch), patch)(sample["image"][None], threshold)[0]
    restored = Restore(task, steps)({"image": sample["image"], "pred": logits})
    source = case.images[0][0]
    written = prediction_path(output, case.name, source)
    write_prediction(written, read_header(source), restored["pred"], task, "classes")
    return nib.load(written)


def assert_lies_as(prediction: nib.Nifti1Image, image: nib.Nifti1Image) -> None:
    """Shape, affine, codes and units of ``prediction`` are those of ``image``."""
    assert prediction.shape == image.shape[:3]
    np.testing.assert_array_equal(prediction.affine, image.affine)
    for name in ("get_qform", "get_sform"):
        (found, code), (expected, expected_code) = (
            getattr(header, name)(coded=True) for header in (prediction.header, image.header)
        )
        assert code == expected_code
        if code:
            np.testing.assert_array_equal(found, expected)
    assert prediction.header.get_xyzt_units() == image.header.get_xyzt_units()
    assert prediction.header.get_zooms() == image.header.get_zooms()[:3]
