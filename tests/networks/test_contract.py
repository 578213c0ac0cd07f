"""What every network promises, whichever it is."""

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from pipeline import networks

CHANNELS = {"in_channels": 2, "out_channels": 3}
ONE_DOMAIN = {**CHANNELS, "pools": 2}

SMALLEST: dict[str, partial[nn.Module]] = {  # name: constructor, given spatial_dims
    "fcn": partial(networks.FCN, **CHANNELS, features=(4, 4, 4, 4, 4, 8), fc_kernel=3),
    "fcn_deconvolution": partial(
        networks.FCN, **CHANNELS, features=(4, 4, 4, 4, 4, 8), decoder="deconvolution"
    ),
    "unet2d": partial(networks.UNet, **CHANNELS, features=(4, 8)),
    "unet2d_linear": partial(networks.UNet, **CHANNELS, features=(4, 8), upsample="linear"),
    "unetplusplus": partial(networks.UNetPlusPlus, **CHANNELS, features=(4, 8, 8)),
    "unetplusplus_supervised": partial(
        networks.UNetPlusPlus, **CHANNELS, features=(4, 8), norm="batch", deep_supervision=True
    ),
    "vnet": partial(networks.VNet, **CHANNELS, features=(4, 8), convs=(1, 2)),
    "unet3d": partial(networks.UNet3D, **CHANNELS, features=(4, 8)),
    "multiresunet": partial(networks.MultiResUNet, **CHANNELS, features=(4, 8)),
    "no_new_net": partial(networks.NoNewNet, **CHANNELS, features=(4, 8)),
    "resnet_vae": partial(networks.ResNetVAE, **CHANNELS, features=(4, 8, 8), depths=(1, 1, 1)),
    "resunetplusplus": partial(networks.ResUNetPlusPlus, **CHANNELS, features=(4, 8, 8)),
    "unet3plus": partial(networks.UNet3Plus, **CHANNELS, features=(4, 8, 8)),
    "unet3plus_supervised": partial(
        networks.UNet3Plus, **CHANNELS, features=(4, 8), deep_supervision=True
    ),
    "unet3plus_guided": partial(
        networks.UNet3Plus, **CHANNELS, features=(4, 8), classification_guided=True
    ),
    "u2net": partial(networks.U2Net, domains={"one": ONE_DOMAIN}, features=(4, 8, 8)),
    "u2net_shared": partial(
        networks.U2Net, domains={"one": ONE_DOMAIN}, features=(4, 8, 8), mode="shared"
    ),
    "u2net_independent": partial(
        networks.U2Net, domains={"one": ONE_DOMAIN}, features=(4, 8, 8), mode="independent"
    ),
}

TRAINS_TO: dict[str, type] = {
    "unetplusplus_supervised": list,
    "resnet_vae": tuple,
    "unet3plus_supervised": list,
    "unet3plus_guided": tuple,
}
"""list (deep supervision) or tuple (a second task) where training gives more than a tensor."""


@pytest.fixture(params=SMALLEST, scope="module")
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=[2, 3], ids=["2d", "3d"], scope="module")
def spatial_dims(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture
def network(name: str, spatial_dims: int) -> nn.Module:
    return make(name, spatial_dims)


@pytest.fixture
def image(network: nn.Module, spatial_dims: int) -> Tensor:
    """Two cases of the smallest size, longer along the last axis."""
    sizes = [network.smallest] * spatial_dims
    sizes[-1] += network.divisor
    return random_image(2, sizes)


def make(name: str, spatial_dims: int) -> nn.Module:
    torch.manual_seed(0)
    return SMALLEST[name](spatial_dims)


def random_image(cases: int, sizes: Sequence[int]) -> Tensor:
    return torch.rand(cases, CHANNELS["in_channels"], *sizes)


def slow_unless_in(quick: Sequence[Any], values: Sequence[Any], ids: str = "{}") -> list[Any]:
    return [
        pytest.param(value, marks=() if value in quick else pytest.mark.slow, id=ids.format(value))
        for value in values
    ]


def tensors(output: Any) -> list[Tensor]:
    """Every tensor in what a network gives in training, in order."""
    if isinstance(output, Tensor):
        return [output]
    return [tensor for part in output for tensor in tensors(part)]


def test_every_network_is_under_contract():
    exported = {
        value
        for value in vars(networks).values()
        if isinstance(value, type) and issubclass(value, nn.Module)
    }
    assert {type(make(name, 2)) for name in SMALLEST} == exported


def test_logits_lie_on_the_grid_of_the_image(network, image):
    with torch.inference_mode():
        logits = network.eval()(image)
    assert isinstance(logits, Tensor)
    assert logits.shape == (2, 3, *image.shape[2:])


def test_training_gives_what_the_class_says(name, network, image):
    output = network(image)
    assert isinstance(output, TRAINS_TO.get(name, Tensor))
    segmentation = output[0] if isinstance(output, tuple) else output
    assert {logits.shape for logits in tensors(segmentation)} == {(2, 3, *image.shape[2:])}


def test_every_parameter_gets_a_gradient(network, image):
    sum(tensor.square().mean() for tensor in tensors(network(image))).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_cases_do_not_leak_into_each_other(network, image):
    network.eval().double()  # instance norm of a few voxels magnifies rounding
    image = image.double()
    with torch.inference_mode():
        alone = torch.cat([network(image[:1]), network(image[1:])])
        torch.testing.assert_close(network(image), alone, rtol=1e-4, atol=1e-5)


def test_one_case_of_the_smallest_size_trains(network, spatial_dims):
    output = network(random_image(1, [network.smallest] * spatial_dims))
    sum(tensor.square().mean() for tensor in tensors(output)).backward()


def test_a_size_below_the_smallest_is_refused_in_training(network, spatial_dims):
    size = network.smallest - network.divisor or network.smallest // 2
    with pytest.raises(ValueError, match=rf"size {size} .*\b{network.smallest}\b"):
        network(random_image(1, [size] * spatial_dims))


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_a_size_that_is_no_multiple_of_the_divisor_is_refused(network, spatial_dims, training):
    network.train(training)  # which may change the divisor
    sizes = [network.smallest] * spatial_dims
    sizes[-1] += network.divisor // 2
    with pytest.raises(ValueError, match=rf"size {sizes[-1]} .*\b{network.divisor}\b"):
        network(random_image(1, sizes))


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_half_precision_stays_finite(network, image, training):
    network.train(training)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = tensors(network(image))
    if training:
        sum(tensor.float().square().mean() for tensor in outputs).backward()
    assert all(tensor.isfinite().all() for tensor in outputs)


def test_saved_weights_fit_a_new_instance(name, network, spatial_dims, image):
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    file.seek(0)
    torch.manual_seed(1)
    other = SMALLEST[name](spatial_dims)
    other.load_state_dict(torch.load(file), strict=True)
    with torch.inference_mode():
        torch.testing.assert_close(other.eval()(image), network.eval()(image), rtol=0, atol=0)


# torch 2.13 deprecates its own TorchScript, which MONAI's ckpt_export needs
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_scripted_logits_equal_eager_ones(network, image):
    assert_equals_eager(torch.jit.script(network.eval())(image), network, image)


# torch's exporter calls what torch itself deprecates
TREESPEC = pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.`:FutureWarning")


@pytest.fixture(scope="module")
def program(name: str, spatial_dims: int) -> torch.export.ExportedProgram:
    """The network in eval mode, traced once with sizes that may change."""
    network = make(name, spatial_dims).eval()
    traced = random_image(1, [2 * network.divisor] * spatial_dims)
    dynamic_sizes = {axis + 2: torch.export.Dim.AUTO for axis in range(spatial_dims)}
    return torch.export.export(network, (traced,), dynamic_shapes={"image": dynamic_sizes})


@pytest.fixture
def larger_image(network: nn.Module, spatial_dims: int) -> Tensor:
    """One case, along every axis of another size than the one traced."""
    return random_image(1, [3 * network.divisor] * (spatial_dims - 1) + [4 * network.divisor])


@TREESPEC
@pytest.mark.parametrize("spatial_dims", slow_unless_in([2], [2, 3], "{}d"), indirect=True)
def test_exported_logits_equal_eager_ones(program, network, larger_image):
    with torch.inference_mode():
        assert_equals_eager(program.module()(larger_image), network, larger_image)


FIRST_ROWS = list({row.func: name for name, row in reversed(SMALLEST.items())}.values())
"""One a class. Exporters take seconds: by default every row is exported in 2D, and one row a class
to ONNX in 3D; the rest are slow tests."""


@TREESPEC
@pytest.mark.parametrize("name", slow_unless_in(FIRST_ROWS, list(SMALLEST)), indirect=True)
@pytest.mark.parametrize("spatial_dims", slow_unless_in([3], [2, 3], "{}d"), indirect=True)
def test_onnx_logits_equal_eager_ones(program, network, larger_image, tmp_path: Path):
    torch.onnx.export(program, f=tmp_path / "network.onnx", dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx")
    (logits,) = session.run(None, {"image": larger_image.numpy()})
    assert_equals_eager(torch.from_numpy(logits), network, larger_image)


def assert_equals_eager(logits: Tensor, network: nn.Module, image: Tensor) -> None:
    """Equal to a part in 10,000 of the largest logit."""
    with torch.inference_mode():
        eager = network.eval()(image)
    torch.testing.assert_close(logits, eager, rtol=0, atol=1e-4 * eager.abs().max().item())
