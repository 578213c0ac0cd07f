"""Channels that are filled up to eights compute what the network computed without."""

import numpy as np
import pytest
import torch
from monai.networks.blocks import UpSample
from torch import nn
from torch.nn import functional

openvino = pytest.importorskip("openvino", reason="no openvino")

from pipeline.export import write_onnx  # noqa: E402
from pipeline.inference.backends.channels import fill_channels  # noqa: E402
from pipeline.networks import NoNewNet  # noqa: E402
from pipeline.openvino_core import core  # noqa: E402


def computed(network: nn.Module, image: torch.Tensor) -> tuple[list[list[int]], np.ndarray]:
    """Channels out and in of each convolution once they are filled, and the answer."""
    model = core().read_model(write_onnx(network, image, 21)[".onnx"])
    fill_channels(model)
    convolutions = [n for n in model.get_ordered_ops() if n.get_type_name() == "Convolution"]
    model.reshape({0: list(image.shape)})
    compiled = core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return [list(n.input_value(1).shape)[:2] for n in convolutions], compiled(image.numpy())[0]


def filled(network: nn.Module, image: torch.Tensor) -> list[list[int]]:
    """Channels out and in of each convolution once they are filled; the answer is PyTorch's."""
    with torch.no_grad():
        wanted = network.eval()(image).numpy()
    channels, answer = computed(network, image)
    assert answer.shape == wanted.shape
    np.testing.assert_allclose(answer, wanted, atol=1e-5 * np.abs(wanted).max())
    return channels


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_a_u_net_of_30_channels_gets_32(spatial_dims):
    torch.manual_seed(0)
    network = NoNewNet(spatial_dims, 4, 22, features=(30, 40, 60))
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    out, given = zip(*filled(network, noise(2, 4, *[16] * spatial_dims)), strict=True)
    assert given[0] == 4
    assert out[-1] == 22, "logits are seen from outside"
    assert set(out[:-1]) == {32, 40, 64}
    assert {32 + 32, 40 + 40} <= set(given), "skips are joined filled"


class Seen(nn.Module):
    """30 channels, and 30 more that ``looks`` sees all of before the last convolution."""

    def __init__(self, looks: nn.Module) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 30, 3), nn.Conv2d(30, 30, 3)
        self.looks, self.head = looks, nn.LazyConv2d(2, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.looks(self.second(self.first(image).relu())))


class Added(nn.Module):
    """The image added to itself."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image + image


class Beside(nn.Module):
    """The image beside itself, along an axis that is not that of the channels."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([image, image], 2)


class Gated(nn.Module):
    """Filters that depend on the image."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(30, 30, 1, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(image, self.weight * image.mean())


@pytest.mark.parametrize(
    "looks",
    [
        nn.GroupNorm(3, 30),
        nn.Softmax(1),
        nn.LayerNorm([30, 12, 12], elementwise_affine=False),
        Added(),
        Beside(),
        nn.ConvTranspose2d(30, 8, 2, stride=2),
        nn.Conv2d(30, 60, 3, groups=30),
    ],
    ids=lambda looks: type(looks).__name__,
)
def test_channels_that_something_else_sees_stay(looks):
    network, image = Seen(looks), noise(2, 3, 16, 16)
    network(image)
    assert filled(network, image)[:2] == [[32, 3], [30, 32]]


def test_filters_that_are_computed_stay():
    network = nn.Sequential(nn.Conv2d(3, 30, 3), Gated(), nn.ReLU(), nn.Conv2d(30, 2, 1))
    assert filled(network, noise(2, 3, 16, 16)) == [[30, 3], [30, 30], [2, 30]]


class Joined(nn.Module):
    """30 channels at double resolution, the image itself, and the 30 again, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act = nn.Conv2d(3, 30, 2, stride=2), nn.PReLU(30)
        self.up = UpSample(2, 30, 30, mode="nontrainable")
        self.head = nn.Conv2d(63, 2, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.up(self.act(self.first(image)))
        return self.head(torch.cat([x, image, x], dim=1))


def test_filters_find_their_channels_behind_filled_ones():
    nn.init.uniform_((network := Joined()).act.weight)
    assert filled(network, noise(2, 3, 16, 16)) == [[32, 3], [2, 67]]


def test_what_would_be_many_zeros_and_what_is_in_eights_stay():
    network = nn.Sequential(nn.Conv2d(3, 17, 3), nn.Conv2d(17, 24, 3), nn.Conv2d(24, 2, 3))
    assert filled(network, noise(2, 3, 16, 16)) == [[17, 3], [24, 17], [2, 24]]
