"""Which backend is taken, and what is told where one cannot be."""

import json
import shutil
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.bundles import Bundle
from pipeline.errors import UserError
from pipeline.inference.backends import cache, converting
from pipeline.inference.backends.entries import Unusable, converted
from pipeline.inference.backends.loading import AUTO, load
from pipeline.inference.engine import OutOfMemory
from pipeline.networks import NoNewNet

pytestmark = pytest.mark.skipif(
    None in [find_spec(name) for name in ("openvino", "onnxruntime", "onnxscript")],
    reason="no openvino, onnxruntime or onnxscript",
)


class Noisy(NoNewNet):
    """Never computes the same twice."""

    def forward(self, image: Tensor) -> Tensor:
        logits = super().forward(image)
        return logits + torch.rand_like(logits)


class Blank(NoNewNet):
    """Finds nothing anywhere, as a network whose class is absent."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image) * 0 - 30


class Hungry(NoNewNet):
    """Finds no memory once it is traced."""

    want: type[Exception] = MemoryError

    def forward(self, image: Tensor) -> Tensor:
        if not (image.is_meta or torch.compiler.is_compiling()):
            raise self.want
        return super().forward(image)


class HungryOnACard(Hungry):
    """The same as a card tells it."""

    want = torch.OutOfMemoryError


@pytest.fixture
def of_class(small_bundles, tmp_path):
    """A bundle whose network is of this class."""

    def make(kind: type[NoNewNet]) -> Bundle:
        bundle = Bundle(shutil.copytree(small_bundles[3].root, tmp_path / kind.__name__.lower()))
        config = bundle.config_file("inference")
        own = f"{__name__}.{kind.__name__}"
        config.write_text(config.read_text().replace("pipeline.networks.NoNewNet", own))
        return bundle

    return make


def test_a_network_is_converted_once(small_bundles, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    bundle = small_bundles[3]
    image = np.ones((1, 4, 8, 8, 8), np.float32)
    first = load(bundle, bundle.weights, "auto", "cpu", threads=1)
    assert "preparing no_new_net for openvino, once" in capsys.readouterr().err
    entries = sorted((tmp_path / "cache").iterdir())
    again = load(bundle, bundle.weights, "auto", "cpu", threads=1)
    assert capsys.readouterr().err == "no_new_net runs on openvino, cpu (1 thread)\n"
    assert sorted((tmp_path / "cache").iterdir()) == entries
    np.testing.assert_array_equal(first.backend(image), again.backend(image))
    assert first.weights_sha256 == cache.sha256(bundle.weights)


def test_what_computes_something_else_is_refused_for_good(of_class, kept):
    bundle = of_class(Noisy)
    report = cache.report_of(kept(bundle, "onnxruntime"))
    assert report["verdict"] == "refused"
    with pytest.raises(Unusable, match=r"^on images of 2 x 4 x .* differ from PyTorch's by"):
        converted(bundle, bundle.weights, "onnxruntime")
    with pytest.raises(UserError, match=r"^--backend onnxruntime cannot run noisy: on images"):
        load(bundle, bundle.weights, "onnxruntime")


def test_logits_that_never_vary_cannot_be_compared(of_class, kept):
    report = cache.report_of(kept(of_class(Blank), "onnxruntime"))
    assert report["verdict"] == "refused"
    assert "no logits of its network vary" in report["reason"]


@pytest.mark.parametrize("kind", [Hungry, HungryOnACard])
def test_want_of_memory_is_neither_a_refusal_nor_a_mistake(of_class, kept, kind):
    bundle = of_class(kind)
    with pytest.raises(MemoryError):
        kept(bundle, "onnxruntime")
    assert not cache.entry_of(bundle, bundle.weights, "onnxruntime").exists()


def test_auto_takes_torch_where_nothing_else_passed(small_bundles, tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    bundle = small_bundles[3]
    for name in AUTO["cpu"][:-1]:
        with cache.writing(cache.entry_of(bundle, bundle.weights, name)) as folder:
            cache.finish(folder, {"verdict": "refused", "reason": "it was slower"})
    assert load(bundle, bundle.weights, "auto", "cpu").backend.name == "eager"


def test_a_mistake_of_the_user_is_no_refusal(small_bundles):
    bundle = small_bundles[3]
    weights = small_bundles[2].weights
    with pytest.raises(UserError, match="holds the weights of another network"):
        load(bundle, weights, "openvino")
    assert not cache.entry_of(bundle, weights, "openvino").exists()


@pytest.mark.parametrize(
    ("backend", "device", "sentence"),
    [
        ("openvin", None, r"^unknown backend 'openvin': did you mean openvino\?$"),
        ("openvino", "cuda:0", r"^--backend openvino cannot run no_new_net: it runs on no cuda:0"),
        ("openvino-int8", None, "run unet-bundles quantise .*no_new_net --data DIR$"),
    ],
)
def test_what_cannot_be_had_is_told_in_one_sentence(small_bundles, backend, device, sentence):
    bundle = small_bundles[3]
    with pytest.raises(UserError, match=sentence):
        load(bundle, bundle.weights, backend, device)


def test_compiled_without_a_compiler_is_told_in_one_sentence(small_bundles, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    bundle = small_bundles[3]
    sentence = r"^--backend compiled cannot run no_new_net: it needs a C\+\+ compiler; install one"
    with pytest.raises(UserError, match=sentence):
        load(bundle, bundle.weights, "compiled", "cpu")


def test_missing_weights_are_told(small_bundles, tmp_path):
    with pytest.raises(UserError, match=r"^no weights at .*nothing: give the safetensors file"):
        load(small_bundles[3], tmp_path / "nothing")


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (MemoryError("no room"), OutOfMemory("no room for a window")),
        (UserError("cannot write x"), OSError("No space left on device")),
    ],
    ids=["memory", "disk"],
)
def test_want_of_room_is_no_mistake_that_ends_auto(tmp_path, monkeypatch, error, cause):
    def convert(*_):
        raise error from cause

    monkeypatch.setattr(converting, "convert", convert)
    arguments = {"root": "x", "domain": None, "weights": "y", "backend": "z", "device": "cpu"}
    text = json.dumps(arguments | {"folder": str(tmp_path)})
    monkeypatch.setattr(sys, "argv", ["converting", text])
    with pytest.raises(type(error)):
        converting.main()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["CUDA error: no kernel", "cuDNN error: CUDNN_STATUS", "CUDA out of memory. Tried"]
)
def test_a_fault_of_the_machine_is_no_verdict_on_a_network(text):
    assert converting._may_pass(RuntimeError(text))
    assert not converting._may_pass(RuntimeError("cannot trace this network"))
