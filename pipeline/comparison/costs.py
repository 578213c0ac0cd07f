"""What a network costs, counted and not measured."""

from typing import NamedTuple

import torch
from monai.bundle import ConfigParser
from torch.utils.flop_counter import FlopCounterMode

from pipeline.bundles import Bundle


class Costs(NamedTuple):
    """Size of a network, and the cost of one prediction.

    Args:
        parameters: those that only training uses included.
        multiply_adds: of convolutions and matrix products, in the prediction of one patch.
        patch_size: voxels, along each spatial axis.
    """

    parameters: int
    multiply_adds: int
    patch_size: tuple[int, ...]


def costs(bundle: Bundle) -> Costs:
    """The costs of the network of ``bundle``, a run."""
    parser = ConfigParser(bundle.config("inference"))
    network = parser.get_parsed_content("network_def").eval()
    patch_size = tuple(parser.get_parsed_content("patch_size"))
    image = torch.zeros(1, bundle.task.in_channels, *patch_size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(image)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Costs(parameters, counter.get_total_flops() // 2, patch_size)
