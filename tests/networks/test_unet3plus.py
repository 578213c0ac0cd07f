"""UNet 3+: what the paper says of it."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.networks import Guided, UNet3Plus

TINY = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2, "features": (4, 8, 8, 16)}


def tiny(**options: bool) -> UNet3Plus:
    torch.manual_seed(0)
    return UNet3Plus(**TINY, **options)


def image(cases: int = 2) -> Tensor:
    return torch.rand(cases, 1, 16, 16, generator=torch.Generator().manual_seed(1))


def guided_by(presence: list[list[float]]) -> UNet3Plus:
    """A network that decides by (absent, present) of each channel, whatever the image."""
    network = tiny(classification_guided=True).eval()
    with torch.no_grad():
        network.presence.conv.weight.zero_()
        network.presence.conv.bias.copy_(torch.tensor(presence).flatten())
    return network


def unguided_logits(network: UNet3Plus, batch: Tensor) -> Tensor:
    plain = tiny().eval()
    plain.load_state_dict(network.state_dict(), strict=False)
    return plain(batch)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 26_971_777),
        ({"deep_supervision": True}, 26_989_637),
        ({"deep_supervision": True, "classification_guided": True}, 26_991_687),
    ],
    ids=["plain", "deep supervision", "guided"],
)
def test_parameter_count_is_the_authors(options, count):
    with torch.device("meta"):
        network = UNet3Plus(2, 3, 1, **options)
    assert sum(p.numel() for p in network.parameters()) == count


def test_the_papers_crop_keeps_its_size():
    with torch.device("meta"):
        network = UNet3Plus(2, 3, 1).eval()
        assert network(torch.empty(1, 3, 320, 320)).shape == (1, 1, 320, 320)


def test_each_decoder_stage_joins_all_five_resolutions():
    with torch.device("meta"):
        network = UNet3Plus(2, 3, 1)
    seen = [
        [conv.in_channels for conv in stage.branches.modules() if isinstance(conv, nn.Conv2d)]
        for stage in network.stages
    ]
    assert seen == [  # coarsest first; a decoder's map has 5 x 64 = 320 channels
        [64, 128, 256, 512, 1024],
        [64, 128, 256, 320, 1024],
        [64, 128, 320, 320, 1024],
        [64, 320, 320, 320, 1024],
    ]


def test_deep_supervision_has_a_head_for_each_resolution():
    heads = tiny(deep_supervision=True)(image())
    assert [head.shape for head in heads] == [(2, 2, 16, 16)] * 4


def test_the_best_head_comes_first_and_is_the_one_of_evaluation():
    network = tiny(deep_supervision=True)
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.eval()  # so that both modes compute alike
    torch.testing.assert_close(network(image())[0], network.eval()(image()))


@pytest.mark.parametrize("head", range(4))
def test_a_coarser_head_teaches_fewer_decoder_stages(head):
    network = tiny(deep_supervision=True)
    network(image())[head].square().mean().backward()
    taught = [any(p.grad is not None for p in stage.parameters()) for stage in network.stages]
    assert taught == [True] * (3 - head) + [False] * head


@pytest.mark.parametrize("deep_supervision", [False, True])
def test_guided_training_gives_heads_and_a_decision_per_channel(deep_supervision):
    network = tiny(classification_guided=True, deep_supervision=deep_supervision)
    output = network(image(cases=3))
    assert isinstance(output, Guided)
    assert [head.shape for head in output.heads] == [(3, 2, 16, 16)] * (
        4 if deep_supervision else 1
    )
    assert output.presence.shape == (3, 2, 2)


def test_absent_classes_are_blank_and_present_ones_untouched():
    network = guided_by([[2.0, 1.0], [1.0, 2.0]])
    logits = network(image())
    assert torch.all(logits[:, 0] == -30)
    assert logits[:, 0].sigmoid().max() < 1e-12
    torch.testing.assert_close(logits[:, 1], unguided_logits(network, image())[:, 1])


def test_an_undecided_class_counts_as_present():
    network = guided_by([[1.0, 1.0], [1.0, 1.0]])
    torch.testing.assert_close(network(image()), unguided_logits(network, image()))


def test_each_case_is_decided_for_itself():
    network = tiny(classification_guided=True).eval()
    batch = torch.stack([torch.zeros(1, 16, 16), 10 * torch.rand(1, 16, 16)])
    seen: list[Tensor] = []
    network.presence.conv.register_forward_hook(lambda *call: seen.append(call[2]))
    with torch.no_grad():
        network.presence.conv.weight[::2] = 0  # absent: a threshold
        network.presence.conv.weight[1::2] = 1  # present: how strong the coarsest map is
        network.presence.conv.bias.zero_()
        network(batch)
        network.presence.conv.bias[::2] = seen[0][:, 1].amax(dim=(1, 2)).mean()
        blank = network(batch).eq(-30).all(dim=-1).all(dim=-1)
    assert blank.tolist() in ([[True, True], [False, False]], [[False, False], [True, True]])


def test_one_voxel_is_enough_to_be_present():
    network = guided_by([[0.5, 0.0], [0.5, 0.0]])
    coarsest = torch.zeros(1, 16, 2, 2)
    coarsest[0, :, 1, 0] = 1
    with torch.no_grad():
        network.presence.conv.weight[1::2] = 1 / 16
    assert network.presence(coarsest).tolist() == [[[0.5, 1.0], [0.5, 1.0]]]


def test_the_presence_loss_teaches_the_classifier_and_the_encoder():
    network = tiny(classification_guided=True)
    presence = network(image()).presence
    F.cross_entropy(presence.flatten(0, 1), torch.tensor([0, 1, 1, 0])).backward()
    for part in (network.presence, network.stem):
        assert all(p.grad.abs().sum() > 0 for p in part.parameters() if p.ndim > 1)


def test_training_logits_learn_even_if_all_is_judged_absent():
    network = guided_by([[9.0, 0.0], [9.0, 0.0]]).train()
    (logits,) = network(image()).heads
    logits.square().mean().backward()
    assert network.stem[0].conv.weight.grad.abs().sum() > 0
    assert not torch.any(logits == -30)
