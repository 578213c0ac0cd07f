"""Bundles called from Python."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.bundles import Bundle
from pipeline.data.cohorts import find_cohort
from pipeline.data.loaders import record
from pipeline.errors import UserError
from pipeline.inference import Segmenter
from pipeline.runs import burnt_in
from pipeline.transforms import Restore
from pipeline.weights import read_weights

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def segmenter(run):
    return Segmenter(run, backend="eager")


@pytest.fixture(scope="module")
def case(cohort, segmenter):
    return find_cohort(cohort, segmenter.task).cases[0]


@pytest.fixture(scope="module")
def other_weights(run, tmp_path_factory) -> Path:
    """Weights that give other probabilities."""
    state = load_file(run / "models/model.safetensors")
    path = tmp_path_factory.mktemp("weights") / "other.safetensors"
    save_file({name: tensor * 0.5 for name, tensor in state.items()}, path)
    return path


def test_a_bundle_gives_the_labels_that_the_command_writes(
    unet_bundles, run, cohort, segmenter, tmp_path
):
    unet_bundles("segment", run, "--images", cohort, "--output", tmp_path)
    for case in find_cohort(cohort, segmenter.task).cases:
        written = np.asarray(nib.load(tmp_path / f"{case.name}.nii.gz").dataobj)
        np.testing.assert_array_equal(segmenter(case, "brats2023").array, written)


def test_labels_come_with_the_grid_of_the_first_modality(segmenter, case):
    labels = segmenter(case)
    image = nib.load(case.images[0][0])
    assert labels.array.shape == image.shape
    np.testing.assert_allclose(labels.affine, image.affine)


def test_labels_are_those_of_monais_own_command(run, cohort, segmenter, tmp_path):
    from monai.bundle import ConfigParser

    parser = ConfigParser(Bundle(run).config("inference"))
    parser["bundle_root"], parser["dataset_dir"] = str(run), str(cohort)
    parser["output_dir"] = str(tmp_path)
    parser.get_parsed_content("run")
    for case in find_cohort(cohort, segmenter.task).cases:
        theirs = np.asarray(nib.load(tmp_path / f"{case.name}.nii.gz").dataobj)
        assert np.mean(segmenter(case, "brats2023").array == theirs) >= 0.99999


def test_probabilities_are_those_of_monais_own_way(run, case, segmenter):
    from monai.bundle import ConfigParser

    parser = ConfigParser(Bundle(run).config("inference"))
    parser["device"] = "cpu"
    network = read_weights(parser.get_parsed_content("network_def"), Bundle(run).weights).eval()
    preprocessing = parser.get_parsed_content("preprocessing")
    image = preprocessing(record(case, None) | {"label": None})["image"]
    with torch.inference_mode():
        logits = parser.get_parsed_content("inferer")(image[None], network)[0]
    restore = Restore(Bundle(run).config("inference")["task"], preprocessing)
    theirs = restore.probabilities({"image": image, "pred": logits}).numpy()
    np.testing.assert_allclose(segmenter.probabilities(case), theirs, atol=1e-4)


@pytest.mark.parametrize(
    "backend", ["openvino", pytest.param("onnxruntime", marks=pytest.mark.slow)]
)
def test_the_light_path_gives_what_pytorch_gives(run, case, segmenter, backend):
    pytest.importorskip(backend)
    light = Segmenter(run, backend=backend)
    np.testing.assert_allclose(light.probabilities(case), segmenter.probabilities(case), atol=1e-3)
    assert np.mean(light(case).array == segmenter(case).array) >= 0.99999


def test_an_ensemble_has_the_mean_of_its_members_probabilities(run, case, other_weights):
    both = [run / "models/model.safetensors", other_weights]
    members = [Segmenter(run, one, backend="eager").probabilities(case) for one in both]
    mean = Segmenter(run, both, backend="eager").probabilities(case)
    np.testing.assert_allclose(mean, (members[0] + members[1]) / 2, atol=1e-6)
    assert np.abs(members[0] - members[1]).max() > 1e-3


def test_several_bundles_are_an_ensemble(run, segmenter, case):
    twice = Segmenter([run, run], backend="eager")
    np.testing.assert_allclose(twice.probabilities(case), segmenter.probabilities(case), atol=1e-6)


def test_members_may_differ_in_spacing_and_windows(run, segmenter, case, tmp_path):
    other = tmp_path / "coarse"
    shutil.copytree(run, other)
    file = Bundle(other).config_file("inference")
    changes = {"spacing": [3.0, 3.0, 3.0], "patch_size": [24, 24, 16]}
    file.write_text(burnt_in(file.read_text(), changes))
    both = Segmenter([run, other], backend="eager")
    assert len(both.recipes) == 2
    coarse = Segmenter(other, backend="eager").probabilities(case)
    fine = segmenter.probabilities(case)
    np.testing.assert_allclose(both.probabilities(case), (fine + coarse) / 2, atol=1e-6)
    assert np.abs(fine - coarse).max() > 1e-2


def test_mirroring_changes_the_probabilities_and_not_their_grid(run, segmenter, case):
    mirrored = Segmenter(run, backend="eager", mirror=(0, 1, 2)).probabilities(case)
    plain = segmenter.probabilities(case)
    assert mirrored.shape == plain.shape
    assert np.abs(mirrored - plain).max() > 1e-4


def test_an_ensemble_of_different_tasks_is_refused(run):
    with pytest.raises(UserError, match="different things"):
        Segmenter([run, ROOT / "bundles/trained/hippocampus"], backend="eager")


def test_weights_of_several_bundles_are_refused(run, other_weights):
    with pytest.raises(UserError, match="weights are given for one bundle"):
        Segmenter([run, run], other_weights, backend="eager")


def test_the_plan_tells_windows_memory_and_seconds(unet_bundles, run, cohort, tmp_path):
    status, out, _ = unet_bundles(
        "segment", run, "--images", cohort, "--output", tmp_path / "out", "--plan"
    )
    assert status == 0
    assert "windows" in out
    assert "GiB of memory at the peak" in out
    assert "s in the network" in out
    assert not (tmp_path / "out").exists()


def test_the_plan_tells_cases_that_were_refused_and_ends_with_status_1(
    unet_bundles, run, cohort, tmp_path
):
    images = shutil.copytree(cohort, tmp_path / "cases")
    (images / "phantom-001" / "phantom-001-t1c.nii.gz").unlink()
    status, out, err = unet_bundles(
        "segment", run, "--images", images, "--output", tmp_path / "out", "--plan"
    )
    assert status == 1
    (told,) = [line for line in err.splitlines() if line.startswith("failed: ")]
    assert told.startswith("failed: phantom-001: case phantom-001")
    assert "has no t1c image" in told
    planned = [line for line in out.splitlines() if line.startswith("phantom")]
    assert planned == ["phantom-000:", "phantom-002:"]
    assert not (tmp_path / "out").exists()
