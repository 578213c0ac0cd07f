"""Two small bundles, and what they compute by torch itself."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pipeline.bundles import Bundle, shipped
from pipeline.inference.backends import cache
from pipeline.inference.backends.backend import Array
from pipeline.inference.backends.converting import convert
from pipeline.weights import read_weights
from tests.shrunk import network_of, shrunk


@pytest.fixture(scope="session")
def small_bundles(tmp_path_factory) -> dict[int, Bundle]:
    """A network of two levels with random weights, by its spatial dimensions."""
    root = tmp_path_factory.mktemp("bundles")
    return {
        spatial_dims: shrunk(shipped()[name], root / name, [4, 8])
        for spatial_dims, name in ((3, "no_new_net"), (2, "unet2d"))
    }


@pytest.fixture(scope="session")
def kept() -> Callable[[Bundle, str], Path]:
    """Convert a bundle in this process, and keep it as ``load`` would."""

    def make(bundle: Bundle, backend: str) -> Path:
        entry = cache.entry_of(bundle, bundle.weights, backend)
        if cache.report_of(entry) is None:
            with cache.writing(entry) as folder:
                convert(bundle, bundle.weights, backend, "cpu", folder)
        return entry

    return make


@pytest.fixture(scope="session")
def by_torch() -> Callable[[Bundle, Array], Array]:
    """The logits of a bundle's network."""

    @torch.inference_mode()
    def logits(bundle: Bundle, images: Array) -> Array:
        network = read_weights(network_of(bundle), bundle.weights).eval()
        return network(torch.from_numpy(images)).numpy()

    return logits
