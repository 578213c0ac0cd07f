"""A packed bundle: what it holds, and that it runs where the project is not installed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import nibabel as nib
import numpy as np
import pytest
import yaml

from pipeline.bundles import Bundle, shipped
from pipeline.data.phantom import write_cohort
from pipeline.errors import UserError
from pipeline.packing import pack
from tests.shrunk import shrunk


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A ``unet3d`` of two levels with random weights and windows of 32 voxels."""
    bundle = shrunk(shipped()["unet3d"], tmp_path_factory.mktemp("bundles") / "tiny", [4, 8])
    for workflow in ("train", "inference"):
        text = bundle.config_file(workflow).read_text()
        assert "patch_size: [128, 128, 128]" in text
        small = text.replace("patch_size: [128, 128, 128]", "patch_size: [32, 32, 32]")
        bundle.config_file(workflow).write_text(small)
    return bundle


@pytest.fixture(scope="module")
def unpacked(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pack of it, unpacked in a folder of its own."""
    folder = tmp_path_factory.mktemp("unpacked")
    pack(bundle, folder / "tiny.zip")
    with ZipFile(folder / "tiny.zip") as file:
        file.extractall(folder)
    return folder / "tiny"


def test_two_packs_of_a_bundle_are_equal(bundle, tmp_path):
    copy = Bundle(shutil.copytree(bundle.root, tmp_path / "tiny"))
    for path in copy.root.rglob("*"):
        os.utime(path, (0, 10**9))
    pack(bundle, tmp_path / "a.zip")
    pack(copy, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_pack_holds_bundle_and_package_and_no_more(bundle, tmp_path):
    copy = Bundle(shutil.copytree(bundle.root, tmp_path / "tiny"))
    for name in ("split.json", "checkpoints/last.safetensors", "configs/__pycache__/x.pyc"):
        (copy.root / name).parent.mkdir(exist_ok=True)
        (copy.root / name).touch()
    pack(copy, tmp_path / "tiny.zip")
    names = ZipFile(tmp_path / "tiny.zip").namelist()
    tops = ["LICENSE", "configs", "docs", "models", "pipeline"]
    assert sorted({name.split("/")[1] for name in names}) == tops
    assert {"tiny/models/model.safetensors", "tiny/pipeline/networks/unet3d.py"} <= set(names)
    assert not any("__pycache__" in name or "_bundles" in name for name in names)


@pytest.mark.parametrize("workflow", ["train", "inference"])
def test_json_beside_yaml_says_the_same(unpacked, workflow):
    config = unpacked / "configs" / workflow
    text = config.with_suffix(".yaml").read_text()
    assert json.loads(config.with_suffix(".json").read_text()) == yaml.safe_load(text)


def test_the_metadata_of_a_pack_names_public_packages_alone(unpacked):
    needed = json.loads((unpacked / "configs/metadata.json").read_text())
    assert "unet-bundles" not in needed["required_packages_version"]
    assert {"pytorch-ignite", "nibabel", "safetensors", "scipy", "fire"} <= set(
        needed["required_packages_version"]
    )


def test_a_pack_that_is_no_zip_is_refused(bundle, tmp_path):
    with pytest.raises(UserError, match=r"end .*tiny\.tar in \.zip"):
        pack(bundle, tmp_path / "tiny.tar")


def test_the_command_says_that_a_pack_has_no_weights(unet_bundles, tmp_path):
    file = tmp_path / "unet3d.zip"
    status, out, _ = unet_bundles("pack", "unet3d", "--output", file)
    assert status == 0
    assert out == f"written to {file}; it holds no weights, so it trains but does not segment\n"
    _, out, _ = unet_bundles("pack", "unet3d", "--output", file, "--json")
    assert json.loads(out) == {"pack": str(file), "weights": False}


def elsewhere(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Python in ``folder``, with the installed packages but not what is installed for editing."""
    packages = [path for path in sys.path if path.endswith("-packages")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(packages)}
    return subprocess.run(
        [sys.executable, "-S", *map(str, arguments)],  # -S: no .pth file is read
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        check=False,
    )


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """An empty folder in which ``pipeline`` cannot be imported."""
    folder = tmp_path / "bare"
    folder.mkdir()
    ended = elsewhere(folder, "-c", "import pipeline.bundles")
    if ended.returncode == 0:
        pytest.skip("pipeline is installed as a copy, which cannot be hidden")
    assert "No module named 'pipeline" in ended.stderr
    return folder


WHERE = """
from monai.bundle import ConfigWorkflow
workflow = ConfigWorkflow({config!r}, workflow_type="infer", logging_file=False,
    dataset_dir={data!r}, output_dir={output!r}, bundle_root={root!r}, num_workers=0)
workflow.initialize()
workflow.run()
import pipeline
print(pipeline.__file__)
"""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_pack_segments_where_the_project_is_not_installed(unpacked, bare, tmp_path, suffix):
    data, output = tmp_path / "data", tmp_path / "out"
    write_cohort(data, 2, shape=(48, 45, 32), seed=0)
    ended = elsewhere(
        bare,
        *("-m", "monai.bundle", "run", "--config_file", unpacked / f"configs/inference.{suffix}"),
        *("--bundle_root", unpacked, "--dataset_dir", data, "--output_dir", output),
    )
    assert ended.returncode == 0, ended.stderr
    cases = sorted(folder.name for folder in data.iterdir())
    assert sorted(path.name for path in output.glob("*.nii.gz")) == [f"{c}.nii.gz" for c in cases]
    for case in cases:
        image = nib.load(data / case / f"{case}-t2f.nii.gz")
        prediction = nib.load(output / f"{case}.nii.gz")
        assert prediction.shape == image.shape
        np.testing.assert_array_equal(prediction.affine, image.affine)


def test_a_pack_runs_the_code_that_it_holds(unpacked, bare, tmp_path):
    write_cohort(tmp_path / "data", 1, shape=(48, 45, 32), seed=0)
    code = WHERE.format(
        config=str(unpacked / "configs/inference.json"),
        data=str(tmp_path / "data"),
        output=str(tmp_path / "out"),
        root=str(unpacked),
    )
    ended = elsewhere(bare, "-c", code)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == str(unpacked / "pipeline/__init__.py")
