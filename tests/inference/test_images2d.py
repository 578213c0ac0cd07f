"""A 2D image in, a 2D image out, and slices as NIfTI."""

import nibabel as nib
import numpy as np
import pytest
import tifffile
import torch
from ignite.engine import Engine
from monai.engines import IterationEvents
from PIL import Image

from pipeline.data.cases import Case, Cohort
from pipeline.data.loaders import record
from pipeline.data.volumes import read_header, read_volume, write_volume
from pipeline.evaluation import evaluate
from pipeline.inference.inferer import Windows
from pipeline.inference.listener import SavePredictions
from pipeline.inference.predictions import prediction_path, probability_path, write_prediction
from pipeline.tasks import Task
from pipeline.transforms import Restore, preprocessing

TWO = Task(("mri",), classes=("background", "tumour"))
THREE = Task(("mri",), classes=("background", "liver", "spleen"))


def bright_corner():
    """An image (20, 13) that is bright where no flip or transposition leaves it."""
    image = np.full((20, 13), 10, np.uint8)
    image[2:9, 1:4] = 200
    return image


def threshold(image):
    """Stands in for a network of slices: marks what is brighter than the mean."""
    return torch.cat([-image, image], dim=1) * 20


def segment(path, output, task=TWO):
    transform = preprocessing({"foreground_margin": 2, "spacing": [1.0, 1.0, 1.0]}, task)
    sample = transform(record(Case("case", ((path, None),)), None))
    logits = Windows(2, (8, 8))(sample["image"][None], threshold)[0]
    restore = Restore(task, transform)
    restored = restore({"image": sample["image"], "pred": logits})
    written = prediction_path(output, "case", path)
    write_prediction(written, read_header(path), restored["pred"], task, "classes")
    return written


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_an_image_is_segmented_to_a_mask_that_one_can_see(tmp_path, suffix):
    path = tmp_path / f"image.{suffix}"
    if suffix == "tif":
        tifffile.imwrite(path, bright_corner())
    else:
        Image.fromarray(bright_corner()).save(path)
    written = segment(path, tmp_path / "out")
    assert written == tmp_path / "out" / "case.png"
    mask = np.asarray(Image.open(written))
    np.testing.assert_array_equal(mask, np.where(bright_corner() == 200, 255, 0))


def test_a_mask_of_several_classes_holds_their_numbers(tmp_path):
    targets = torch.zeros(2, 3, 2, 1)
    targets[0, 0, 1] = targets[1, 2, 0] = 1
    write_prediction(tmp_path / "a.png", None, targets, THREE, "classes")
    assert np.asarray(Image.open(tmp_path / "a.png")).tolist() == [[0, 1], [0, 0], [2, 0]]


def test_probabilities_of_an_image_are_images_too(tmp_path):
    probabilities = np.linspace(0, 1, 6, dtype=np.float32).reshape(3, 2, 1)
    write_volume(probability_path(tmp_path / "a.png", "tumour"), probabilities, None)
    written = tifffile.imread(tmp_path / "probabilities" / "a_tumour.tif")
    np.testing.assert_array_equal(written, probabilities[..., 0])


def test_a_slice_as_nifti_stays_a_slice(tmp_path):
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    path = tmp_path / "a.nii.gz"
    nib.save(nib.Nifti1Image(bright_corner(), affine), path)
    written = segment(path, tmp_path / "out")
    found = nib.load(written)
    assert found.shape == (20, 13)
    np.testing.assert_array_equal(found.affine, nib.load(path).affine)
    np.testing.assert_array_equal(np.asarray(found.dataobj), bright_corner() == 200)
    assert read_volume(written).array.shape == (20, 13, 1)


def test_predicted_masks_are_scored_against_those_of_the_user(tmp_path):
    Image.fromarray(bright_corner()).save(tmp_path / "case.png")
    segment(tmp_path / "case.png", tmp_path / "out")
    mask = (bright_corner() == 200).astype(np.uint8)
    mask[2:9, 3] = 0  # 14 of 21 pixels are left
    tifffile.imwrite(tmp_path / "case_mask.tif", mask * 255)
    references = [("case", tmp_path / "case_mask.tif")]
    scores = evaluate(tmp_path / "out", references, TWO, "classes", "classes")
    assert not scores.failures
    assert scores.rows[0].dice == pytest.approx(2 * 14 / (14 + 21))


def test_an_evaluator_writes_images_for_images_and_volumes_for_volumes(tmp_path):
    volume, image = tmp_path / "a.nii.gz", tmp_path / "b.png"
    nib.save(nib.Nifti1Image(bright_corner()[..., None], np.eye(4)), volume)
    Image.fromarray(bright_corner()).save(image)
    cohort = Cohort(tmp_path, "classes", ())
    engine = Engine(lambda _engine, batch: [{"pred": torch.ones(1, 20, 13, 1)} for _ in batch])
    engine.register_events(*IterationEvents)
    SavePredictions(TWO, cohort, str(tmp_path / "out")).attach(engine)
    engine.run([[{"case": path.name[0], "source": str(path)}] for path in (volume, image)])
    assert {"a.nii.gz", "b.png"} <= {path.name for path in (tmp_path / "out").iterdir()}
    assert (np.asarray(Image.open(tmp_path / "out" / "b.png")) == 255).all()
