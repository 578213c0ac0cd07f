"""No New-Net: what the paper and two independent encodings of it say."""

import pytest
import torch
from torch import nn

from pipeline.networks import NoNewNet


def authors(out_channels: int = 3) -> NoNewNet:
    """The paper's, without memory behind its weights."""
    with torch.device("meta"):
        return NoNewNet(3, 4, out_channels)


@pytest.mark.parametrize(("out_channels", "count"), [(4, 14_493_094), (3, 14_493_063)])
def test_parameter_count_is_the_published_one(out_channels, count):
    assert sum(p.numel() for p in authors(out_channels).parameters()) == count


def test_the_papers_patch_keeps_its_size():
    with torch.device("meta"):
        logits = authors().eval()(torch.empty(2, 4, 128, 128, 128))
    assert logits.shape == (2, 3, 128, 128, 128)


def test_channels_are_halved_before_upsampling():
    convs = [
        (conv.in_channels, conv.out_channels)
        for conv in authors().modules()
        if isinstance(conv, nn.Conv3d)
    ]
    encoder = [(4, 30), (30, 30), (30, 60), (60, 60), (60, 120), (120, 120), (120, 240), (240, 240)]
    bottleneck = [(240, 480), (480, 240)]
    decoder = [
        (480, 240),
        (240, 120),
        (240, 120),
        (120, 60),
        (120, 60),
        (60, 30),
        (60, 30),
        (30, 30),
    ]
    assert convs == [*encoder, *bottleneck, *decoder, (30, 3)]


def test_upsampling_is_not_learned():
    assert not any(isinstance(m, nn.ConvTranspose3d) for m in authors().modules())


def test_upsampling_is_linear():
    torch.manual_seed(0)
    (up,) = NoNewNet(3, 1, 1, features=(2, 4)).ups
    ramp = torch.arange(4.0).reshape(1, 1, 4, 1, 1).expand(1, 2, 4, 4, 4)
    along = up.upsample(ramp)[0, 0, :, 3, 3]
    assert along.tolist() == [0.0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.0]


def test_every_hidden_convolution_has_instance_norm_and_leaky_relu():
    modules = list(authors().modules())
    norms = [m for m in modules if isinstance(m, nn.InstanceNorm3d)]
    slopes = [m.negative_slope for m in modules if isinstance(m, nn.LeakyReLU)]
    assert len(norms) == 18
    assert all(norm.affine and not norm.track_running_stats for norm in norms)
    assert slopes == [0.01] * 18


def test_the_contrast_of_the_image_does_not_matter():
    torch.manual_seed(0)
    network = NoNewNet(2, 1, 2, features=(4, 8)).eval()
    image = 10 * torch.rand(1, 1, 16, 16)
    torch.testing.assert_close(network(7 * image), network(image), rtol=1e-3, atol=1e-3)


def test_one_voxel_at_the_coarsest_resolution_is_refused_in_evaluation():
    network = NoNewNet(2, 1, 1, features=(2, 4, 4)).eval()
    with pytest.raises(ValueError, match="size 4 is below 8"):
        network(torch.rand(1, 1, 4, 4))
    assert network(torch.rand(1, 1, 4, 8)).shape == (1, 1, 4, 8)
