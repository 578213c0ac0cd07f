import torch
from monai.inferers import SimpleInferer

from pipeline.inference import Mirrored


def test_a_network_blind_to_mirroring_gives_its_own_logits():
    image = torch.rand(1, 2, 4, 5, 3)
    mirrored = Mirrored(SimpleInferer())(image, lambda x: 2 * x)
    assert torch.allclose(mirrored, 2 * image)


def test_what_points_one_way_is_averaged_away():
    image = torch.rand(1, 1, 4, 5, 3)
    ramp = torch.arange(4.0)[:, None, None]  # along the first axis, whatever the image
    mirrored = Mirrored(SimpleInferer(), axes=(0,))(image, lambda x: x + ramp)
    assert torch.allclose(mirrored, image + 1.5)


def test_each_subset_of_the_axes_is_asked_for_once():
    calls = []
    Mirrored(SimpleInferer(), axes=(0, 2))(
        torch.rand(1, 1, 2, 2, 2), lambda x: calls.append(x) or x
    )
    assert len(calls) == 4
    assert len({tuple(call.flatten().tolist()) for call in calls}) == 4
