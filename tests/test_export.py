"""A bundle's network as a file for other runtimes."""

import json
import shutil
import sys
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor

from pipeline.bundles import Bundle, shipped
from pipeline.errors import UserError
from pipeline.export import FORMATS, export
from pipeline.networks import UNet3D
from pipeline.runs import burnt_in
from pipeline.weights import read_weights, write_weights
from tests.shrunk import network_of, shrunk

BUNDLES = sorted(shipped())
DIVISOR = 2  # of a network of two levels
ROUNDING = {"u2net": 0.05}
"""Of the largest logit. With random weights the many norms of u2net magnify rounding: in PyTorch
alone another number of threads changes its logits by some 3e-4 of the largest."""


def with_packages(name: str) -> pytest.param:
    missing = [package for package in FORMATS[name].packages if find_spec(package) is None]
    return pytest.param(name, marks=pytest.mark.skipif(missing != [], reason=f"no {missing}"))


every_format = pytest.mark.parametrize("name", [with_packages(name) for name in FORMATS])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A ``unet3d`` of two levels with random weights."""
    return shrunk(shipped()["unet3d"], tmp_path_factory.mktemp("bundles") / "unet3d", [4, 8])


def eager(bundle: Bundle, images: Tensor) -> Tensor:
    network = read_weights(network_of(bundle), bundle.weights).eval()
    with torch.inference_mode():
        return network(images)


@every_format
def test_the_files_compute_the_logits_of_other_sizes_and_batches(bundle, name, tmp_path):
    output = tmp_path / f"network{FORMATS[name].suffix}"
    parity = export(bundle, name, output)
    files = {path.suffix: path.read_bytes() for path in tmp_path.iterdir()}
    images = torch.randn(3, 4, 3 * DIVISOR, 2 * DIVISOR, 5 * DIVISOR)
    logits = FORMATS[name].read(files)(images)
    torch.testing.assert_close(logits, eager(bundle, images), rtol=1e-4, atol=1e-4)
    assert parity.shape == (1, 4, 3 * DIVISOR, 3 * DIVISOR, 4 * DIVISOR)
    assert parity.difference <= 1e-4 * parity.largest


@pytest.mark.parametrize("inferer", [{}, {"inferer": {"_target_": "SimpleInferer"}}])
def test_a_network_of_monai_is_exported(tmp_path, inferer):
    segresnet = {"_target_": "SegResNet", "spatial_dims": 3, "in_channels": 4, "out_channels": 3}
    bundle = Bundle(shutil.copytree(shipped()["unet3d"].root, tmp_path / "segresnet"))
    file = bundle.config_file("inference")
    changes = {"network_def": segresnet | {"init_filters": 8}} | inferer
    file.write_text(burnt_in(file.read_text(), changes))
    write_weights(network_of(bundle), bundle.weights)
    output = tmp_path / f"network{FORMATS['torchscript'].suffix}"
    assert export(bundle, "torchscript", output).shape == (1, 4, 48, 48, 64)


@pytest.mark.slow
@every_format
@pytest.mark.parametrize("shipped_name", BUNDLES)
def test_every_bundle_exports(shipped_name, name, tmp_path):
    bundle = shrunk(shipped()[shipped_name], tmp_path / shipped_name)
    output = tmp_path / f"network{FORMATS[name].suffix}"
    parity = export(bundle, name, output)
    assert output.is_file()
    assert len(parity.shape) == 2 + bundle.config("inference")["spatial_dims"]
    assert parity.difference <= ROUNDING.get(shipped_name, 1e-3) * parity.largest


def test_the_command_prints_the_parity(unet_bundles, bundle, tmp_path):
    file = tmp_path / "network.ts"
    arguments = ("export", bundle.root, "--format", "torchscript", "--output", file)
    status, out, _ = unet_bundles(*arguments)
    assert status == 0
    assert out.startswith(f"written to {file}; on an image of 1 x 4 x 6 x 6 x 8 its logits")
    _, out, _ = unet_bundles(*arguments, "--json", "--device", "cuda:99")  # of no use here
    assert json.loads(out)["file"] == str(file)
    assert 0 <= json.loads(out)["difference"] < 1e-4 * json.loads(out)["largest"]


def test_weights_can_be_another_file(unet_bundles, bundle, tmp_path):
    untrained = Bundle(shutil.copytree(bundle.root, tmp_path / "untrained"))
    weights = untrained.weights.rename(tmp_path / "elsewhere.safetensors")
    file = tmp_path / "network.ts"
    arguments = ("export", untrained.root, "--format", "torchscript", "--output", file)
    status, _, error = unet_bundles(*arguments)
    assert (status, error.count("\n"), file.exists()) == (2, 1, False)
    assert f"no weights at {untrained.weights}: train first" in error
    status, _, _ = unet_bundles(*arguments, "--weights", weights)
    assert (status, file.exists()) == (0, True)


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime", "openvino"])
def test_a_missing_package_is_named_with_the_command(bundle, package, tmp_path, monkeypatch):
    name = "openvino" if package == "openvino" else "onnx"
    pytest.importorskip("onnx")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"{package}: pip install 'unet-bundles\[{name}\]'"):
        export(bundle, name, tmp_path / f"network{FORMATS[name].suffix}")


def test_a_file_of_another_name_is_refused(bundle, tmp_path):
    with pytest.raises(UserError, match=r"writes a \.pt2: end .*network\.onnx in it"):
        export(bundle, "pt2", tmp_path / "network.onnx")


def test_of_several_domains_the_one_asked_for_is_exported(unet_bundles, tmp_path):
    root = shrunk(shipped()["u2net"], tmp_path / "u2net").root
    arguments = ("--format", "torchscript", "--output", tmp_path / "network.ts")
    status, out, _ = unet_bundles("export", root, *arguments, "--domain", "hippocampus", "--json")
    assert status == 0
    assert json.loads(out)["shape"] == [1, 1, 24, 24, 32]  # one modality, three poolings
    assert torch.jit.load(tmp_path / "network.ts")(torch.rand(1, 1, 16, 16, 16)).shape[1] == 3
    status, _, error = unet_bundles("export", root, *arguments, "--domain", "liver")
    assert (status, error.count("\n")) == (2, 1)
    assert "'liver'" in error


class Unscriptable(UNet3D):
    """What ``torch.jit.script`` refuses: arguments by name without number."""

    def forward(self, image: Tensor, **_: Tensor) -> Tensor:
        return super().forward(image)


def test_a_network_that_a_format_cannot_hold_is_told_in_one_sentence(bundle, tmp_path):
    copy = Bundle(shutil.copytree(bundle.root, tmp_path / "copy"))
    config = copy.config_file("inference")
    text = config.read_text()
    config.write_text(text.replace("pipeline.networks.UNet3D", "tests.test_export.Unscriptable"))
    with pytest.raises(UserError, match=r"^copy cannot be exported as torchscript \(.+\)"):
        export(copy, "torchscript", tmp_path / "network.ts")
    assert not (tmp_path / "network.ts").exists()
