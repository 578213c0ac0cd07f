"""A bundle's network as PyTorch runs it, as it is or compiled."""

from pathlib import Path

import torch
from monai.bundle import ConfigParser
from torch import nn

from pipeline.bundles import Bundle
from pipeline.errors import UserError
from pipeline.export import divisor_of
from pipeline.inference.backends import cache
from pipeline.inference.backends.backend import Model
from pipeline.inference.backends.compiled import Compiled
from pipeline.inference.backends.eager import Eager
from pipeline.inference.backends.machine import threaded
from pipeline.inference.settings import Settings
from pipeline.weights import read_weights


def network_of(bundle: Bundle, weights: Path) -> nn.Module:
    """The network of ``bundle`` in eval mode.

    Raises:
        UserError: the weights are missing or of another network.
    """
    network = ConfigParser(bundle.config("inference")).get_parsed_content("network_def")
    return read_weights(network, weights).eval()


def torch_model(
    bundle: Bundle, weights: Path, name: str, device: str, threads: int | None
) -> Model:
    """The network of ``bundle``, "eager" or "compiled".

    Raises:
        UserError: the weights are of another network, the bundle cannot be planned, or there is no
            such device.
    """
    network = network_of(bundle, weights)
    settings = Settings.of(bundle, getattr(network, "divisor", None))
    windowing = settings.windowing
    size = (2 * divisor_of(network, windowing),) * windowing.spatial_dims
    form = Compiled if name == "compiled" else Eager
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"no device {device!r} here ({error}): take cpu") from error
    backend = form(network, settings.task.in_channels, size, device, threads)
    return Model(settings, backend, cache.sha256(weights), device, _described(device))


def _described(device: str) -> str:
    if device.startswith("cuda"):
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return threaded(torch.get_num_threads())
