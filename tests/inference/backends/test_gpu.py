"""What PyTorch computes on a GPU, and what it does where a card has too little memory."""

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.inference.backends.compiled import Compiled
from pipeline.inference.backends.eager import Eager
from pipeline.inference.backends.loading import load
from pipeline.inference.engine import blended
from pipeline.inference.plan import Windowing, plan_windows
from tests.inference.networks import filed, image

CARD = "cuda:0"
WINDOW = 2**28  # bytes
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
    pytest.mark.filterwarnings("ignore"),  # of inductor and triton, about the card and themselves
]


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("name", ["eager", "compiled"])
def test_a_card_gives_the_labels_of_the_cpu(small_bundles, by_torch, name, spatial_dims):
    bundle = small_bundles[spatial_dims]
    images = np.random.default_rng(0).standard_normal(
        (2, 4, *(64, 48, 32)[:spatial_dims]), np.float32
    )
    model = load(bundle, bundle.weights, name, CARD)
    assert (model.backend.name, model.device) == (name, CARD)
    assert np.mean((model.backend(images) > 0) == (by_torch(bundle, images) > 0)) >= 0.99


class Wide(nn.Module):
    """Gives its windows and takes 256 MiB for each of them."""

    def __init__(self):
        super().__init__()
        self.batches = []

    @torch.compiler.disable
    def forward(self, windows):
        if windows.is_cuda:
            self.batches.append(len(windows))
            torch.empty(len(windows), WINDOW, dtype=torch.uint8, device=windows.device)
        return windows


@pytest.fixture
def room_for_two():
    """A card with memory for two windows and a half."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(CARD).total_memory
    allowed = torch.cuda.memory_allocated(CARD) + 2.5 * WINDOW
    torch.cuda.set_per_process_memory_fraction(allowed / total, CARD)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0, CARD)


@pytest.mark.usefixtures("room_for_two")
@pytest.mark.parametrize("form", [Eager, Compiled])
def test_after_want_of_memory_a_card_goes_on_with_fewer_windows(form, tmp_path):
    volume, network = image(1, 8, 8, 20), Wide()
    plan = plan_windows((8, 8, 20), Windowing(3, (8, 8, 8)))
    assert len(plan.starts) == 4
    backend = form(network, in_channels=1, size=(8, 8, 8), device=CARD)
    parts = blended(filed(volume, 2, tmp_path), plan, 2, backend, 1, batch_size=4)
    planes = np.concatenate([logits for _, logits in parts])
    np.testing.assert_allclose(np.moveaxis(planes, 0, -1), volume, rtol=1e-6)
    assert network.batches == [4, 2, 2]
