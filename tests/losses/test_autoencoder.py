from math import log

import pytest
import torch

from pipeline.losses import AutoencoderLoss, SoftDice
from pipeline.networks import Autoencoded

LOGITS = torch.zeros(1, 1, 2, 2)
LABEL = torch.ones(1, 1, 2, 2)
IMAGE = torch.zeros(1, 2, 2, 2)
DICE = 1 - 2 * 4 * 0.5 / (4 * 0.25 + 4)


def output(reconstruction=IMAGE, mean=(0.0, 0.0), variance=(1.0, 1.0)):
    return Autoencoded(LOGITS, reconstruction, torch.tensor([mean]), torch.tensor([variance]).log())


def parts(loss):
    return {name: part.item() for name, part in loss.parts.items()}


def test_a_perfect_autoencoder_leaves_dice_with_squared_terms():
    loss = AutoencoderLoss()
    assert loss(output(), (LABEL, IMAGE)).item() == pytest.approx(DICE, abs=1e-5)
    assert parts(loss) == pytest.approx(
        {"dice": DICE, "reconstruction": 0, "divergence": 0}, abs=1e-5
    )


def test_the_reconstruction_is_judged_by_its_mean_squared_error():
    reconstruction = IMAGE.clone()
    reconstruction[0, 0] = 3.0  # one channel of two
    loss = AutoencoderLoss()
    loss(output(reconstruction), (LABEL, IMAGE))
    assert loss.parts["reconstruction"].item() == pytest.approx(9 / 2)


def test_the_divergence_is_summed_over_the_latent_vector_and_divided_by_the_voxels():
    loss = AutoencoderLoss()
    loss(output(mean=(1.0, 0.0), variance=(1.0, 2.0)), (LABEL, IMAGE))
    expected = ((1 + 1 - 0 - 1) + (0 + 2 - log(2) - 1)) / 4
    assert loss.parts["divergence"].item() == pytest.approx(expected, abs=1e-6)


def test_the_whole_is_dice_and_a_tenth_of_the_others():
    loss = AutoencoderLoss()
    total = loss(output(IMAGE + 2, mean=(3.0, 4.0)), (LABEL, IMAGE)).item()
    assert total == pytest.approx(DICE + 0.1 * 4 + 0.1 * 25 / 4, abs=1e-5)


@pytest.mark.parametrize("target", [LABEL, (LABEL, IMAGE)], ids=["label", "label and image"])
def test_logits_alone_cost_their_dice(target):
    loss = AutoencoderLoss()
    assert loss(LOGITS, target) == SoftDice()(LOGITS, LABEL)
    assert list(loss.parts) == ["dice"]
