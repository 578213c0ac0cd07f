"""Weights in and out as safetensors."""

import sys
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from pipeline.bundles import Bundle, no_weights
from pipeline.errors import UserError
from pipeline.files import write_bytes
from pipeline.progress import console


def load_weights(network: nn.Module, bundle_root: str, weights: str | None = None) -> nn.Module:
    """Load ``weights``, by default the bundle's own, into ``network``.

    Where there are none the process ends with one sentence, since MONAI's commands would print it
    below a traceback.
    """
    bundle = Bundle(Path(bundle_root))
    if not weights and not bundle.weights.is_file():
        sys.exit(no_weights(bundle))
    try:
        return read_weights(network, Path(weights) if weights else bundle.weights)
    except UserError as error:
        sys.exit(str(error))


def starting_point(network: nn.Module, weights: str | None) -> nn.Module:
    """``network`` as it was made, or with what fits of the ``weights`` of an earlier run.

    Tensors of another shape (the head, where the number of outputs differs) keep their random
    start, which is said.

    Raises:
        UserError: the file is missing, is no safetensors file, or less than half of the network
            fits, which is therefore another one.
    """
    if weights is None:
        return network
    given, own = _read(Path(weights)), network.state_dict()
    fitting = {
        name: tensor
        for name, tensor in given.items()
        if name in own and own[name].shape == tensor.shape
    }
    if 2 * len(fitting) < len(own):
        raise UserError(
            f"{weights} holds the weights of another network: {len(fitting)} of {len(own)} tensors "
            "fit; give those of this network"
        )
    network.load_state_dict(fitting, strict=False)
    if len(fitting) < len(own):
        left = ", ".join(name for name in own if name not in fitting)
        console.print(f"start anew, since {weights} has no such tensors: {left}", soft_wrap=True)
    return network


def read_weights(network: nn.Module, path: Path) -> nn.Module:
    """Load the safetensors file at ``path`` into ``network``.

    Raises:
        UserError: the file is missing, is no safetensors file, or is of another network.
    """
    state = _read(path)
    own = network.state_dict()
    for name in sorted(own.keys() | state.keys()):
        if name not in own or name not in state or own[name].shape != state[name].shape:
            raise UserError(
                f"{path} holds the weights of another network: they differ in {name}; "
                "give the weights of this bundle"
            )
    network.load_state_dict(state)
    return network


def write_weights(network: nn.Module, path: Path) -> None:
    """Write the state of ``network`` as safetensors, whole or not at all."""
    state = {
        name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()
    }
    write_bytes(path, save(state))


def derive_torch_weights(path: Path) -> None:
    """Write ``model.pt`` beside the safetensors file at ``path``, for MONAI's exporters."""
    part = path.with_suffix(".pt.part")
    torch.save(load_file(path), part)
    part.replace(path.with_suffix(".pt"))


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"no weights at {path}: give the safetensors file of a run")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is no safetensors file ({error}): give one of a run") from error
