"""What the engine promises of a whole command: its imports and its memory."""

import gzip
import shutil
import struct
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

VOXELS_GIB = (2 + 8) * np.prod(SHAPE) / 2**30
"""What its voxels take as they lie in the file and scaled: 0.11 GiB."""

SLOPE_AT = 112
"""Where slope and intercept lie in a header of NIfTI-1."""

LIMIT = 0.75
"""GiB, less than the logits of the whole volume, and than eight times its voxels in float64."""

CALLED = """
import sys
from pathlib import Path
import numpy as np
from pipeline.data.cohorts import find_cohort
from pipeline.inference import Segmenter
segmenter = Segmenter(sys.argv[1], backend="openvino", threads=1, max_memory=float(sys.argv[2]))
case = find_cohort(Path(sys.argv[3]), segmenter.task).cases[0]
np.save(sys.argv[4], segmenter(case).array)
"""

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
    """A folder of one case with structure of all sizes, unzipped.

    Its voxels have a slope, so that in float64 they are more than is read at once below.
    """
    folder = tmp_path_factory.mktemp("volume") / "large"
    folder.mkdir()
    draws = np.random.default_rng(0)
    coarse = draws.normal(0, 300, [size // 16 for size in SHAPE]).astype(np.int16)
    voxels = np.kron(coarse, np.ones((16, 16, 16), np.int16))
    voxels += draws.integers(-50, 50, SHAPE, dtype=np.int16)
    nib.save(nib.Nifti1Image(voxels, np.diag([0.7, 0.7, 0.8, 1])), folder / "ct.nii")
    with (folder / "ct.nii").open("r+b") as file:
        file.seek(SLOPE_AT)
        file.write(struct.pack("<ff", 0.5, 3.0))
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
    arguments = segmenting(bundle.root, "--images", volume, "--output", tmp_path)
    command = [sys.executable, "-m", "pipeline", *arguments, "--max-memory", str(LIMIT)]
    assert peak_bytes(command) / 2**30 <= LIMIT < min(LOGITS_GIB, 8 * VOXELS_GIB)
    assert (tmp_path / "large.nii.gz").read_bytes() == roomy


def test_from_python_the_limit_holds_too(bundle, volume, roomy, tmp_path):
    file = tmp_path / "labels.npy"
    command = [sys.executable, "-c", CALLED, str(bundle.root), str(LIMIT), str(volume), str(file)]
    assert peak_bytes(command) / 2**30 <= LIMIT
    written = nib.Nifti1Image.from_bytes(gzip.decompress(roomy))
    np.testing.assert_array_equal(np.load(file), written.dataobj)


@pytest.mark.usefixtures("roomy")
def test_mirroring_and_a_second_network_take_no_more(bundle, volume, tmp_path):
    twice = ("--weights", bundle.weights, bundle.weights, "--mirror", 2)
    arguments = segmenting(bundle.root, "--images", volume, "--output", tmp_path, *twice)
    command = [sys.executable, "-m", "pipeline", *arguments, "--max-memory", str(LIMIT)]
    assert peak_bytes(command) / 2**30 <= LIMIT
    assert (tmp_path / "large.nii.gz").is_file()


@pytest.mark.usefixtures("roomy")
def test_a_limit_below_the_floor_is_told_and_nothing_is_written(bundle, volume, tmp_path):
    arguments = segmenting(bundle.root, "--images", volume, "--output", tmp_path)
    command = [sys.executable, "-m", "pipeline", *arguments, "--max-memory", "0.1"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "segmenting takes at least" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
