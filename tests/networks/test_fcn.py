"""What Long et al. say of the FCN."""

import pytest
import torch
from torch import nn

from pipeline.networks import FCN
from pipeline.networks.fcn import up_convolution

FEATURES = (8, 8, 16, 16, 16, 32)


def count(*args, **options) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in FCN(*args, **options).parameters())


@pytest.mark.parametrize("padding", ["same", "paper"])
@pytest.mark.parametrize(
    ("stride", "expected"), [(32, 136_152_917), (16, 134_815_994), (8, 134_489_759)]
)
def test_parameters_with_the_interpolation_kernels(stride, expected, padding):
    assert count(2, 3, 21, stride=stride, padding=padding) == expected


@pytest.mark.parametrize("stride", [32, 16, 8])
def test_parameters_of_the_deconvolution_decoder(stride):
    assert count(2, 3, 1, stride=stride, decoder="deconvolution") == 18_643_713


def test_the_trunk_is_vgg16():
    with torch.device("meta"):
        network = FCN(2, 3, 21)
    channels = [
        [m.out_channels for m in block.modules() if isinstance(m, nn.Conv2d)]
        for block in network.blocks
    ]
    assert channels == [[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3]


@pytest.mark.parametrize(("stride", "crops"), [(32, [19]), (16, [5, 27]), (8, [5, 9, 31])])
def test_crops_of_the_paper_follow_from_its_border(stride, crops):
    decoder = FCN(2, 1, 1, features=FEATURES, stride=stride, padding="paper").decoder
    assert [*(join.offset for join in decoder.joins), decoder.offset] == crops


@pytest.mark.parametrize("stride", [32, 16, 8])
def test_the_border_of_the_paper_takes_an_image_of_any_size(stride):
    network = FCN(2, 1, 2, features=FEATURES, stride=stride, padding="paper").eval()
    with torch.inference_mode():
        assert network(torch.rand(1, 1, 33, 1)).shape == (1, 2, 33, 1)


@pytest.mark.parametrize(("padding", "start"), [("same", 64), ("paper", 5 * 32 - 99)])
@pytest.mark.parametrize("stride", [32, 16, 8])
def test_scores_lie_where_they_were_taken(stride, padding, start):
    network = FCN(2, 1, 1, features=(1,) * 6, stride=stride, padding=padding).eval()
    for name, parameter in network.named_parameters():
        if "upsample" not in name:  # convolutions pass on what they get
            nn.init.zeros_(parameter)
            if parameter.ndim == 4:
                middle = parameter.shape[-1] // 2
                parameter.data[..., middle, middle] = 1
    image = torch.zeros(1, 1, 256, 256)
    image[..., start : start + 128, start : start + 128] = 1  # whole cells of the coarsest grid
    with torch.inference_mode():
        around = network(image)[..., start - 32 : start + 160, start - 32 : start + 160]
    assert around.max() > 0.9
    torch.testing.assert_close(around, around.flip(2, 3))


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("scale", [2, 8])
def test_up_convolutions_start_as_linear_interpolation(spatial_dims, scale):
    up = up_convolution(spatial_dims, channels=2, scale=scale, padded=True)
    x = torch.rand(1, 2, *[4] * spatial_dims)
    mode = {2: "bilinear", 3: "trilinear"}[spatial_dims]
    inside = (..., *[slice(scale, -scale)] * spatial_dims)
    expected = nn.functional.interpolate(x, scale_factor=scale, mode=mode)
    torch.testing.assert_close(up(x)[inside], expected[inside])


@pytest.mark.parametrize("decoder", ["score", "deconvolution"])
@pytest.mark.parametrize(("stride", "expected"), [(32, []), (16, [3]), (8, [2, 3])])
def test_the_stride_decides_which_blocks_join(stride, expected, decoder):
    joined = []
    for level in range(4):
        network = FCN(2, 1, 1, features=FEATURES, stride=stride, fc_kernel=1, decoder=decoder)
        network.blocks[level + 1].register_forward_hook(lambda *call: call[2].detach())
        network(torch.rand(1, 1, 32, 32)).sum().backward()
        if next(network.blocks[level].parameters()).grad is not None:
            joined.append(level)
    assert joined == expected


def test_learns_without_the_weights_of_vgg16():
    torch.manual_seed(0)
    label = torch.zeros(1, 1, 64, 64)
    label[..., 16:40, 24:52] = 1
    image = label + 0.2 * torch.randn(1, 1, 64, 64)
    network = FCN(2, 1, 1, features=FEATURES, fc_kernel=3)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(30):
        loss = nn.functional.binary_cross_entropy_with_logits(network(image), label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    segmented = network.eval()(image) > 0
    dice = 2 * (segmented * label).sum() / (segmented.sum() + label.sum())
    assert dice > 0.9


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 4},
        {"padding": "paper", "fc_kernel": 5},
        {"padding": "paper", "decoder": "deconvolution"},
    ],
    ids=["stride", "kernel", "decoder"],
)
def test_options_that_do_not_go_together_are_refused(options):
    with pytest.raises(ValueError, match=r"stride=4|padding='paper'"):
        FCN(2, 1, 1, features=FEATURES, **options)
