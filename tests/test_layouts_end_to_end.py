"""One cohort in other layouts: trained on, segmented and scored by the command."""

import csv
import json
import shutil
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from monai.bundle import ConfigWorkflow
from safetensors.torch import load_file

from pipeline.cli import main
from tests.conftest import TINY

NAMES = {"t2f": "flair", "t1n": "t1", "t1c": "t1ce", "t2w": "t2"}
BRATS2018 = np.array([0, 1, 2, 4], np.uint8)
"""The label values that BraTS 2018 has for 0 to 3 of BraTS 2023."""
MSD = np.array([0, 2, 1, 3], np.uint8)


def volume(case: Path, ending: str) -> Path:
    return case / f"{case.name}-{ending}.nii.gz"


def write(path: Path, array: np.ndarray, like: nib.Nifti1Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, like.affine, like.header), path)


def write_label(path: Path, case: Path, values: np.ndarray) -> None:
    """The label of ``case``, with ``values`` in the place of 0 to 3."""
    label = nib.load(volume(case, "seg"))
    write(path, values[np.asarray(label.dataobj)], label)


def write_case(folder: Path, case: Path, prefix: str) -> None:
    """The files of ``case`` as ``<prefix>flair.nii.gz`` and so on."""
    write_label(folder / f"{prefix}seg.nii.gz", case, BRATS2018)
    for ending, name in NAMES.items():
        shutil.copy(volume(case, ending), folder / f"{prefix}{name}.nii.gz")


def brats2018(cohort: Path, root: Path) -> None:
    """``<case>/<case>_t1ce.nii.gz``."""
    for case in cohort.iterdir():
        write_case(root / case.name, case, f"{case.name}_")


def plain(cohort: Path, root: Path) -> None:
    """``<case>/t1ce.nii.gz``: only its values tell the convention of the labels."""
    for case in cohort.iterdir():
        write_case(root / case.name, case, "")


def decathlon(cohort: Path, root: Path) -> None:
    """An image of four channels a case, in another order than that of the task."""
    endings, entries = ("t1n", "t2w", "t1c", "t2f"), []
    for case in sorted(cohort.iterdir()):
        images = [nib.load(volume(case, ending)) for ending in endings]
        channels = np.stack([np.asarray(image.dataobj) for image in images], axis=-1)
        write(root / f"imagesTr/{case.name}.nii.gz", channels, images[0])
        write_label(root / f"labelsTr/{case.name}.nii.gz", case, MSD)
        folders = {"image": "imagesTr", "label": "labelsTr"}
        entries.append({key: f"./{name}/{case.name}.nii.gz" for key, name in folders.items()})
    modality = {"0": "T1w", "1": "T2w", "2": "t1gd", "3": "FLAIR"}
    content = {"modality": modality, "training": entries}
    (root / "dataset.json").write_text(json.dumps(content))


def command(*arguments: object) -> None:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    assert end.value.code == 0


@pytest.fixture(scope="module", params=[brats2018, plain, decathlon], ids=lambda to: to.__name__)
def done(request, cohort: Path, tmp_path_factory) -> Path:
    """A folder with the run, its predictions and their scores."""
    folder = tmp_path_factory.mktemp("done")
    data, run, out = (folder / name for name in ("data", "run", "out"))
    request.param(cohort, data)
    command("train", "unet3d", "--data", data, "--output", run, "--set", *TINY)
    command("segment", run, "--images", data, "--output", out, "--backend", "eager")
    scores = folder / "scores.csv"
    command("evaluate", "--predictions", out, "--references", data, "--output", scores)
    return folder


def test_every_layout_trains_the_same_network(done, run):
    weights, others = (load_file(one / "models/model.safetensors") for one in (run, done / "run"))
    assert all((weights[name] == others[name]).all() for name in weights)


def test_every_case_has_a_prediction_on_the_grid_of_its_image(done, cohort):
    for case in cohort.iterdir():
        image = nib.load(volume(case, "t2f"))
        prediction = nib.load(done / "out" / f"{case.name}.nii.gz")
        assert prediction.shape == image.shape
        np.testing.assert_array_equal(prediction.affine, image.affine)


def test_every_case_has_a_dice_of_each_region(done, cohort):
    rows = list(csv.DictReader((done / "scores.csv").read_text().splitlines()))
    cases = [case.name for case in cohort.iterdir()]
    assert {(row["case"], row["region"]) for row in rows} == {*product(cases, ("TC", "WT", "ET"))}
    assert all(0 <= float(row["dice"]) <= 1 for row in rows)


def monai_bundle(run: Path, name: str, **entries: object) -> None:
    """What ``python -m monai.bundle run`` does."""
    workflow = ConfigWorkflow(
        str(run / f"configs/{name}.yaml"), logging_file=False, bundle_root=str(run), **entries
    )
    workflow.initialize()
    workflow.run()


@pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning")
def test_monai_scores_the_case_that_validated(done):
    run, data = done / "run", str(done / "data")
    monai_bundle(run, "train", workflow_type="train", run_id="evaluate", dataset_dir=data)
    (case,) = json.loads((run / "split.json").read_text())["validation"]
    rows = [line for line in (done / "scores.csv").read_text().splitlines() if case in line]
    assert (run / "evaluation/scores.csv").read_text().splitlines()[1:] == rows


@pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning")
def test_monai_segments_as_the_command_does(done, cohort, tmp_path):
    data = str(done / "data")
    monai_bundle(done / "run", "inference", dataset_dir=data, output_dir=str(tmp_path))
    for case in cohort.iterdir():
        ours, theirs = (
            nib.load(folder / f"{case.name}.nii.gz") for folder in (done / "out", tmp_path)
        )
        np.testing.assert_array_equal(np.asarray(theirs.dataobj), np.asarray(ours.dataobj))
