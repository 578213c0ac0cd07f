"""What the engine promises of a whole command: its imports and its memory."""

import shutil
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from pipeline.bundles import Bundle, shipped
from pipeline.runs import burnt_in
from pipeline.weights import write_weights
from tests.inference.memory_of import peak_bytes
from tests.shrunk import network_of

pytestmark = pytest.mark.slow

SHAPE = (192, 192, 320)
CLASSES = 25
LOGITS_GIB = CLASSES * np.prod(SHAPE) * 4 / 2**30
"""What the logits of the whole volume would take: 1.1 GiB."""

LIGHT = """
import sys
from pipeline.cli import main
try:
    main({arguments})
except SystemExit as end:
    print("status", end.code)
print([name for name in ("torch", "monai") if name in sys.modules])
"""


def segmenting(*arguments: object) -> list[str]:
    return ["segment", *map(str, arguments), "--backend", "openvino", "--threads", "1"]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A small network of 25 classes with random weights, converted."""
    pytest.importorskip("openvino")
    root = tmp_path_factory.mktemp("bundles") / "organs"
    shutil.copytree(shipped()["unet3d"].root, root)
    bundle = Bundle(root)
    config = bundle.config("inference")
    classes = ["background", *(f"organ{number}" for number in range(1, CLASSES))]
    changes = {
        "task": {"modalities": ["ct"], "classes": classes},
        "spacing": None,
        "patch_size": [32, 32, 32],
        "inferer": config["inferer"] | {"overlap": 0.125},
        "network_def": config["network_def"] | {"features": [4, 8]},
    }
    file = bundle.config_file("inference")
    file.write_text(burnt_in(file.read_text(), changes))
    write_weights(network_of(bundle), bundle.weights)
    return bundle


@pytest.fixture(scope="module")
def volume(tmp_path_factory):
    """A folder of one case with structure of all sizes, unzipped."""
    folder = tmp_path_factory.mktemp("volume") / "large"
    folder.mkdir()
    draws = np.random.default_rng(0)
    coarse = draws.normal(0, 300, [size // 16 for size in SHAPE]).astype(np.int16)
    voxels = np.kron(coarse, np.ones((16, 16, 16), np.int16))
    voxels += draws.integers(-50, 50, SHAPE, dtype=np.int16)
    nib.save(nib.Nifti1Image(voxels, np.diag([0.7, 0.7, 0.8, 1])), folder / "ct.nii")
    return folder


@pytest.fixture(scope="module")
def roomy(bundle, volume, tmp_path_factory):
    """The labels of the volume with all the memory of the machine; converts the network."""
    output = tmp_path_factory.mktemp("roomy")
    command = segmenting(bundle.root, "--images", volume, "--output", output)
    subprocess.run([sys.executable, "-m", "pipeline", *command], check=True)
    return (output / "large.nii.gz").read_bytes()


@pytest.mark.usefixtures("roomy")
def test_segmenting_with_a_converted_network_imports_neither_torch_nor_monai(
    bundle, volume, tmp_path
):
    arguments = segmenting(bundle.root, "--images", volume, "--output", tmp_path)
    code = LIGHT.format(arguments=arguments)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-2:] == ["status 0", "[]"]


def test_all_processes_stay_below_the_limit_and_the_labels_are_the_same(
    bundle, volume, roomy, tmp_path
):
    limit = 0.7
    arguments = segmenting(bundle.root, "--images", volume, "--output", tmp_path)
    command = [sys.executable, "-m", "pipeline", *arguments, "--max-memory", str(limit)]
    assert peak_bytes(command) / 2**30 <= limit < LOGITS_GIB
    assert (tmp_path / "large.nii.gz").read_bytes() == roomy


@pytest.mark.usefixtures("roomy")
def test_a_limit_below_the_floor_is_told_and_nothing_is_written(bundle, volume, tmp_path):
    arguments = segmenting(bundle.root, "--images", volume, "--output", tmp_path)
    command = [sys.executable, "-m", "pipeline", *arguments, "--max-memory", "0.1"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "segmenting takes at least" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
