"""What Zhou et al. say of the UNet++."""

import pytest
import torch
from torch import Tensor

from pipeline.networks import UNetPlusPlus


def tiny(**options) -> UNetPlusPlus:
    torch.manual_seed(0)
    return UNetPlusPlus(2, 1, 1, features=(4, 4, 4, 4, 4), **options)


@pytest.fixture
def image() -> Tensor:
    torch.manual_seed(1)
    return torch.rand(1, 1, 32, 16)


@pytest.mark.parametrize(("deep_supervision", "expected"), [(False, 9_041_601), (True, 9_041_700)])
def test_parameters_of_the_paper(deep_supervision, expected):
    with torch.device("meta"):
        network = UNetPlusPlus(2, 1, 1, deep_supervision=deep_supervision)
    assert sum(p.numel() for p in network.parameters()) == expected


def test_deep_supervision_trains_four_heads(image):
    assert [logits.shape for logits in tiny(deep_supervision=True)(image)] == [image.shape] * 4


def test_the_best_head_comes_first_and_is_what_eval_gives(image):
    network = tiny(deep_supervision=True)
    torch.testing.assert_close(network(image)[0], network.eval()(image))


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_a_head_sees_as_many_resolutions_as_its_column_is_deep(image, depth):
    network = tiny(deep_supervision=True)
    network(image)[4 - depth].sum().backward()
    reached = [next(down.parameters()).grad is not None for down in network.downs]
    assert reached == [level < depth for level in range(4)]


def test_a_node_joins_its_row_and_the_coarser_node_of_the_column_before():
    with torch.device("meta"):
        network = UNetPlusPlus(2, 1, 1)
    joined = [
        [node.stack[0].conv.in_channels for node in column.nodes] for column in network.columns
    ]
    assert joined == [[64, 128, 256, 512], [96, 192, 384], [128, 256], [160]]


@pytest.mark.parametrize("prune", [1, 2, 3, 4])
def test_pruning_gives_the_head_of_the_last_column_kept(image, prune):
    heads = tiny(deep_supervision=True)(image)
    pruned = tiny(deep_supervision=True, prune=prune).eval()
    torch.testing.assert_close(pruned(image), heads[4 - prune])


def test_pruned_resolutions_are_not_computed(image):
    network, computed = tiny(deep_supervision=True, prune=2).eval(), []
    for level, down in enumerate(network.downs):
        down.register_forward_hook(lambda *_, level=level: computed.append(level))
    network(image)
    assert computed == [0, 1]


def test_pruning_does_not_touch_training(image):
    assert len(tiny(deep_supervision=True, prune=1)(image)) == 4


def test_averaging_gives_the_mean_of_the_heads_computed(image):
    heads = tiny(deep_supervision=True)(image)
    averaged = tiny(deep_supervision=True, average=True, prune=3).eval()
    torch.testing.assert_close(averaged(image), (heads[1] + heads[2] + heads[3]) / 3)


@pytest.mark.parametrize("options", [{"prune": 2}, {"average": True}], ids=["prune", "average"])
def test_a_single_head_can_neither_be_pruned_nor_averaged(options):
    with pytest.raises(ValueError, match="deep_supervision=True"):
        tiny(**options)


@pytest.mark.parametrize("prune", [0, 5])
def test_pruning_to_a_column_that_is_none_is_refused(prune):
    with pytest.raises(ValueError, match=f"prune={prune} .* 1 to 4"):
        tiny(deep_supervision=True, prune=prune)


def test_without_norm_one_voxel_at_the_bottom_is_enough_to_train(image):
    assert tiny()(image[..., :16, :]).shape == (1, 1, 16, 16)
    with pytest.raises(ValueError, match="size 16 is below 32"):
        tiny(norm="batch")(image)
