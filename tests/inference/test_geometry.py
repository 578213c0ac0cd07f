"""A prediction lies where the image lies, whatever the image's orientation and spacing."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform
from torch import nn

from pipeline.data.cohorts import Case
from pipeline.data.loaders import record
from pipeline.data.volumes import read_header
from pipeline.inference.predictions import prediction_path, write_prediction
from pipeline.tasks import Task
from pipeline.transforms import Restore, preprocessing

TASK = Task(modalities=("mri",), classes=("background", "structure"))
ORIENTATIONS = ["RAS", "LPS", "PIR", "SAL"]
ROTATION = np.array([[0.96, -0.28, 0], [0.28, 0.96, 0], [0, 0, 1]])


class Threshold(nn.Module):
    """Stands in for a network: marks what is brighter than the mean."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([-image, image], dim=1) * 20


def save_image(path: Path, codes: str, spacing: tuple[float, float, float]) -> np.ndarray:
    """An oblique image with one bright, unsymmetrical structure; gives where it is."""
    affine = np.eye(4)
    affine[:3, :3] = ROTATION @ np.diag(spacing)
    affine[:3, 3] = (-20, 13, 7)
    array = np.full((21, 17, 13), 10, np.int16)
    array[4:11, 3:8, 2:9] = 200
    array[11:16, 3:5, 2:4] = 200
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    turned = nib.apply_orientation(array, turn)
    image = nib.Nifti1Image(turned, affine @ inv_ornt_aff(turn, array.shape))
    image.set_qform(image.affine, code=1)
    image.set_sform(image.affine, code=2)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)
    return turned > 100


def segment(path: Path, output: Path, spacing: list[float] | None) -> np.ndarray:
    case = Case("case", ((path, None),))
    recipe = {"foreground_margin": 2, "spacing": spacing}
    transform = preprocessing(recipe, TASK)
    sample = transform(record(case, None))
    logits = Threshold()(sample["image"][None])[0]
    restored = Restore(TASK, transform)({"image": sample["image"], "pred": logits})
    written = prediction_path(output, "case", path)
    write_prediction(written, read_header(path), restored["pred"], TASK, "classes")
    return np.asarray(nib.load(output / "case.nii.gz").dataobj)


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_a_structure_comes_back_in_the_same_voxels(tmp_path, codes):
    structure = save_image(tmp_path / "image.nii.gz", codes, (0.9, 1.3, 2.5))
    prediction = segment(tmp_path / "image.nii.gz", tmp_path, spacing=None)
    np.testing.assert_array_equal(prediction, structure)
    image, written = nib.load(tmp_path / "image.nii.gz"), nib.load(tmp_path / "case.nii.gz")
    np.testing.assert_array_equal(written.affine, image.affine)
    assert (written.header["qform_code"], written.header["sform_code"]) == (1, 2)


def test_an_independent_reader_finds_the_structure_at_the_same_millimetres(tmp_path):
    save_image(tmp_path / "image.nii.gz", "PIR", (0.9, 1.3, 2.5))
    segment(tmp_path / "image.nii.gz", tmp_path, spacing=None)
    image, prediction = (
        sitk.ReadImage(str(tmp_path / name)) for name in ("image.nii.gz", "case.nii.gz")
    )
    x, y, z = np.argwhere(sitk.GetArrayFromImage(prediction).T > 0)[0].tolist()
    point = prediction.TransformIndexToPhysicalPoint((x, y, z))
    np.testing.assert_allclose(point, image.TransformIndexToPhysicalPoint((x, y, z)), atol=1e-3)
    affine = nib.load(tmp_path / "image.nii.gz").affine
    np.testing.assert_allclose(
        np.array([-1, -1, 1]) * point, (affine @ [x, y, z, 1])[:3], atol=1e-3
    )
