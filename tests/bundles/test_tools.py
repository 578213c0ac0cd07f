"""MONAI's own tools accept every bundle, offline."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from monai.bundle import ckpt_export, onnx_export, verify_metadata, verify_net_in_out
from monai.data import load_net_with_metadata

from pipeline.bundles import Bundle, shipped
from tests.conftest import ROOT
from tests.shrunk import network_of, shrunk, widths

BUNDLES = shipped()

pytestmark = [
    # what MONAI's exporters call, torch deprecates
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:No hash value provided:UserWarning"),  # of the schema
]


@pytest.fixture(scope="module", params=BUNDLES)
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with a network of its own depth, 8 channels wide."""
    return shrunk(BUNDLES[request.param], tmp_path_factory.mktemp("bundles") / request.param)


@pytest.fixture
def files(bundle: Bundle) -> dict[str, Any]:
    """How MONAI's tools are told of it."""
    return {
        "net_id": "network_def",
        "config_file": str(bundle.config_file("inference")),
        "meta_file": str(bundle.root / "configs/metadata.json"),
    }


@pytest.fixture(scope="session")
def schema() -> Path:
    """A copy of MONAI's schema of metadata, so that nothing is downloaded."""
    if "MONAI_SCHEMA" in os.environ:
        return Path(os.environ["MONAI_SCHEMA"]).resolve(strict=True)
    file = ROOT.parent / "shared" / "schema" / "meta_schema_20240725.json"
    if not file.is_file():
        pytest.skip(f"no {file}, and MONAI_SCHEMA names no copy of it")
    return file


def test_the_metadata_follows_the_schema(bundle, schema):
    verify_metadata(str(bundle.root / "configs/metadata.json"), filepath=str(schema))


def test_the_changelog_has_the_version(bundle):
    assert bundle.metadata["version"] in bundle.metadata["changelog"]


def test_the_network_gives_what_the_metadata_says(files):
    verify_net_in_out(**files, device="cpu", n=1)


def test_ckpt_export_gives_the_network_with_its_metadata(bundle, files, tmp_path):
    ckpt_export(
        **files,
        ckpt_file=str(bundle.weights.with_suffix(".pt")),
        filepath=str(tmp_path / "model.ts"),
    )
    exported, metadata, _ = load_net_with_metadata(str(tmp_path / "model.ts"))
    assert metadata["network_data_format"] == bundle.metadata["network_data_format"]
    network = network_of(bundle).eval()
    image = smallest_image(bundle)
    with torch.inference_mode():
        torch.testing.assert_close(exported(image), network(image))


@pytest.mark.slow
def test_onnx_export_gives_a_valid_model(bundle, files, tmp_path):
    onnx_export(
        **files,
        ckpt_file=str(bundle.weights.with_suffix(".pt")),
        filepath=str(tmp_path / "model.onnx"),
    )
    onnx.checker.check_model(tmp_path / "model.onnx", full_check=True)


def smallest_image(bundle: Bundle) -> torch.Tensor:
    """One image of the sizes in the metadata at n = 1."""
    image = bundle.metadata["network_data_format"]["inputs"]["image"]
    sizes = [int(size.partition("*")[0]) for size in image["spatial_shape"]]
    return torch.randn(1, image["num_channels"], *sizes)


def test_verify_net_in_out_runs_as_a_user_types_it():
    configs = Path("bundles/unet3d/configs")
    features = json.dumps(widths(BUNDLES["unet3d"]))
    command = [
        *(sys.executable, "-m", "monai.bundle", "verify_net_in_out", "network_def"),
        *("--meta_file", configs / "metadata.json", "--config_file", configs / "inference.yaml"),
        *("--network_def::features", features, "--device", "cpu"),
    ]
    ended = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=300
    )
    assert ended.returncode == 0, ended.stderr
    assert "verified with no error" in ended.stdout + ended.stderr
