"""What every backend computes, imports and takes of the memory."""

import json
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.inference.backends.compiled import Compiled
from pipeline.inference.backends.loading import load
from pipeline.inference.engine import OutOfMemory

TOLERANCE = 1e-5


def installed(name: str) -> pytest.param:
    needed = [name, "onnx", "onnxscript"] if name in ("openvino", "onnxruntime") else []
    missing = [package for package in needed if find_spec(package) is None]
    return pytest.param(name, marks=pytest.mark.skipif(missing != [], reason=f"no {missing}"))


CONVERTED = [installed("openvino"), installed("onnxruntime")]


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, np.float32)


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("name", [*CONVERTED, "eager"])
def test_logits_are_those_of_torch(small_bundles, kept, by_torch, name, spatial_dims):
    bundle = small_bundles[spatial_dims]
    if name != "eager":
        kept(bundle, name)
    model = load(bundle, bundle.weights, name, "cpu", threads=1)
    for images in (noise(1, 4, *(12, 20, 16)[:spatial_dims]), noise(3, 4, *[8] * spatial_dims)):
        logits = model.backend(images)
        assert logits.dtype == np.float32
        np.testing.assert_allclose(logits, by_torch(bundle, images), atol=TOLERANCE)
    assert model.settings.windowing.spatial_dims == spatial_dims
    assert (model.backend.name, model.device_name) == (name, "cpu (1 thread)")


@pytest.mark.parametrize("name", [*CONVERTED, "eager"])
def test_the_batch_changes_no_label(small_bundles, kept, name):
    bundle, images = small_bundles[2], noise(11, 4, 16, 24)
    if name != "eager":
        kept(bundle, name)
    backend = load(bundle, bundle.weights, name, "cpu", threads=1).backend
    alone = np.concatenate([backend(image[None]) for image in images])
    for batch in (4, 11):
        parts = [backend(images[first : first + batch]) for first in range(0, 11, batch)]
        together = np.concatenate(parts)
        np.testing.assert_array_equal(together > 0, alone > 0)
        np.testing.assert_allclose(together, alone, atol=TOLERANCE)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of inductor, about itself
def test_what_torch_compiles_computes_the_same(small_bundles, kept, by_torch):
    bundle = small_bundles[3]
    kept(bundle, "compiled")
    model = load(bundle, bundle.weights, "compiled", "cpu")
    for images in (noise(2, 4, 8, 12, 8), noise(1, 4, 8, 12, 8)):
        np.testing.assert_allclose(model.backend(images), by_torch(bundle, images), atol=TOLERANCE)


class Small(nn.Module):
    """Has memory for two images."""

    @torch.compiler.disable
    def forward(self, image):
        if len(image) > 2:
            raise torch.OutOfMemoryError
        return image


def test_after_want_of_memory_a_smaller_batch_is_not_filled_up():
    compiled = Compiled(Small(), in_channels=1, size=(4, 4, 4))
    with pytest.raises(OutOfMemory, match=r"^cpu has no memory for 4 windows of 4 x 4 x 4 voxels"):
        compiled(noise(4, 1, 4, 4, 4))
    for batch in (2, 1):
        images = noise(batch, 1, 4, 4, 4)
        np.testing.assert_array_equal(compiled(images), images)
    assert compiled.peak_bytes((1, 1, 4, 4, 4)) == compiled.peak_bytes((2, 1, 4, 4, 4))


@pytest.mark.parametrize("name", CONVERTED)
def test_logits_stay_when_the_next_are_computed(small_bundles, kept, name):
    bundle = small_bundles[3]
    kept(bundle, name)
    backend = load(bundle, bundle.weights, name, threads=1).backend
    first = backend(noise(1, 4, 8, 8, 8))
    copy = first.copy()
    backend(np.zeros((1, 4, 8, 8, 8), np.float32))
    backend.release()
    np.testing.assert_array_equal(first, copy)


@pytest.mark.parametrize("name", CONVERTED[:1])
def test_weights_count_as_often_as_compiling_adds_them(small_bundles, kept, name):
    bundle = small_bundles[3]
    weights = kept(bundle, name) / "network.bin"
    backend = load(bundle, bundle.weights, name, "cpu", threads=1).backend
    shape = (1, 4, 8, 8, 8)
    before = backend.peak_bytes(shape)
    backend.ready(shape)
    assert before - backend.peak_bytes(shape) == weights.stat().st_size > 0


MEASURED = """
import json, sys
from pathlib import Path
import numpy as np
from pipeline.bundles import Bundle
from pipeline.inference.backends.loading import load

def kib(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))

bundle = Bundle(Path(sys.argv[1]))
backend = load(bundle, bundle.weights, sys.argv[2], "cpu", threads=1).backend
backend(np.zeros((1, 4, 8, 8, 8), np.float32))
backend.release()
images = np.zeros((1, 4, 96, 96, 64), np.float32) + 1
before = kib("VmRSS:")
Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts anew
backend(images)
heavy = [name for name in ("torch", "monai") if name in sys.modules]
print(json.dumps([heavy, (kib("VmHWM:") - before) * 1024, backend.peak_bytes(images.shape)]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", [*CONVERTED, "eager"])
def test_a_call_takes_no_more_than_was_said_and_the_light_path_no_torch(small_bundles, kept, name):
    bundle = small_bundles[3]
    if name != "eager":
        kept(bundle, name)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, bundle.root, name],
        capture_output=True,
        text=True,
        check=True,
    )
    heavy, taken, said = json.loads(done.stdout)
    assert heavy == ([] if name != "eager" else ["torch", "monai"])
    assert 0 < taken <= said <= 8 * taken
