"""Norms as OpenVINO computes them once they are rewritten."""

import numpy as np
import pytest
import torch
from torch.nn import functional

openvino = pytest.importorskip("openvino", reason="no openvino")

from pipeline.inference.backends.norms import rewrite_norms  # noqa: E402
from pipeline.openvino_core import core  # noqa: E402

op = openvino.opset13


def rewritten(norm, image: np.ndarray) -> np.ndarray:
    """What a model of one ``norm`` computes, free in all sizes but the channels."""
    shape = [-1, image.shape[1], *[-1] * (image.ndim - 2)]
    given = op.parameter(shape, np.float32)
    model = openvino.Model([norm(given)], [given])
    rewrite_norms(model)
    kinds = {node.get_type_name() for node in model.get_ops()}
    assert not kinds & {"GroupNormalization", "MVN"}
    model.reshape({0: list(image.shape)})
    compiled = core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled(image)[0]


def bright(*shape: int) -> np.ndarray:
    """Noise of deviation 1 around 5."""
    return 5 + np.random.default_rng(0).standard_normal(shape, np.float32)


@pytest.mark.parametrize(
    ("groups", "shape"), [(2, (2, 6, 40, 48, 44)), (6, (1, 6, 200, 300)), (1, (1, 6, 31, 33))]
)
def test_a_group_norm_is_as_exact_as_that_of_torch(groups, shape):
    image = bright(*shape)
    gain, bias = np.linspace(0.5, 2, 6, dtype="f"), np.linspace(-1, 1, 6, dtype="f")

    def norm(given):
        return op.group_normalization(given, op.constant(gain), op.constant(bias), groups, 1e-5)

    exact = functional.group_norm(
        torch.from_numpy(image).double(),
        groups,
        weight=torch.from_numpy(gain).double(),
        bias=torch.from_numpy(bias).double(),
    )
    np.testing.assert_allclose(rewritten(norm, image), exact, atol=2e-5)


@pytest.mark.parametrize("shape", [(2, 3, 40, 48, 44), (1, 3, 200, 300)])
def test_an_instance_norm_is_as_exact_as_that_of_torch(shape):
    image = bright(*shape)
    axes = op.constant(list(range(2, len(shape))))
    exact = functional.instance_norm(torch.from_numpy(image).double(), eps=1e-5)
    answer = rewritten(lambda given: op.mvn(given, axes, True, 1e-5, "inside_sqrt"), image)
    np.testing.assert_allclose(answer, exact, atol=2e-5)
