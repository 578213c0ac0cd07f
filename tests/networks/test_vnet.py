"""What Milletari et al. say of the V-Net."""

import pytest
import torch
from torch import nn

from pipeline.networks import VNet

RELEASED = {"convs": (1, 1, 2, 3, 3), "head": "released"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, 65_175_314), ({"norm": "batch"}, 65_182_226), (RELEASED, 61_982_682)],
    ids=["paper", "with norm", "released model"],
)
def test_parameters(options, expected):
    with torch.device("meta"):
        network = VNet(3, 1, 2, **options)
    assert sum(p.numel() for p in network.parameters()) == expected


def test_receptive_fields_of_table_1():
    field, jump, after_convolution = 1, 1, []  # voxels of the image

    def grow(module: nn.Module, *_: object) -> None:
        nonlocal field, jump
        if isinstance(module, nn.ConvTranspose3d):
            jump //= module.stride[0]
        field += (module.kernel_size[0] - 1) * jump
        if isinstance(module, nn.Conv3d):
            jump *= module.stride[0]
            after_convolution.append(field)

    with torch.device("meta"):
        network = VNet(3, 1, 2)
        for module in network.modules():
            if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
                module.register_forward_hook(grow)
        network(torch.empty(1, 1, 16, 16, 16))
    stages = [1, 3, 4, 4, 4, 3, 3, 2, 1]  # convolutions, with the strided one before
    ends = [sum(stages[: i + 1]) - 1 for i in range(len(stages))]
    fields = [after_convolution[end] for end in ends]
    assert fields == [5, 22, 72, 172, 372, 476, 528, 546, 551]


def test_resolutions_halve_by_strided_convolution_and_channels_double():
    seen = []
    with torch.device("meta"):
        network = VNet(3, 1, 2)
        for down in network.downs:
            down.register_forward_hook(lambda *call: seen.append(tuple(call[2].shape[1:3])))
        network(torch.empty(1, 1, 32, 32, 32))
    assert seen == [(32, 16), (64, 8), (128, 4), (256, 2)]
    assert not [m for m in network.modules() if isinstance(m, nn.MaxPool3d)]


def test_the_first_stage_adds_the_image_repeated_over_its_channels():
    network = VNet(2, 2, 5, features=(5,), convs=(1,))
    nn.init.zeros_(network.stem.convs[0].conv.weight)
    nn.init.eye_(network.head[0].weight[:, :, 0, 0])
    image = torch.rand(1, 2, 4, 4)
    torch.testing.assert_close(network(image), image[:, [0, 1, 0, 1, 0]])


@pytest.mark.parametrize("in_channels", [3, 5, 7])
def test_any_number_of_image_channels_fits(in_channels):
    network = VNet(2, in_channels, 1, features=(4, 8), convs=(1, 2))
    assert network(torch.rand(1, in_channels, 4, 6)).shape == (1, 1, 4, 6)


def test_a_stage_adds_its_input_to_its_convolutions():
    network = VNet(2, 1, 1, features=(4, 8), convs=(1, 2))
    for stage in (network.downs[0][1], network.ups[0].stage):
        for convolution in stage.convs:
            nn.init.zeros_(convolution.conv.weight)
        x = torch.rand(1, 8, 4, 4)
        torch.testing.assert_close(stage(x), x)


def test_without_norm_one_voxel_at_the_bottom_is_enough_to_train():
    assert VNet(2, 1, 1, features=(4, 8), convs=(1, 2))(torch.rand(1, 1, 2, 2)).shape[2:] == (2, 2)
    with pytest.raises(ValueError, match="size 2 is below 4"):
        VNet(2, 1, 1, features=(4, 8), convs=(1, 2), norm="batch")(torch.rand(1, 1, 2, 2))


def test_as_many_counts_as_resolutions_are_needed():
    with pytest.raises(ValueError, match="features has 2 resolutions, convs 3"):
        VNet(3, 1, 2, features=(4, 8), convs=(1, 2, 3))
