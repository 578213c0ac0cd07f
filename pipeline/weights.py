"""Weights in and out as safetensors."""

import sys
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from pipeline.bundles import WEIGHTS
from pipeline.data.volumes import write_bytes
from pipeline.errors import UserError


def load_weights(network: nn.Module, bundle_root: str, weights: str | None = None) -> nn.Module:
    """Load ``weights``, by default the bundle's own, into ``network``.

    Where there are none the process ends with one sentence, since MONAI's commands would print it
    below a traceback.
    """
    path = Path(weights) if weights else Path(bundle_root) / WEIGHTS
    try:
        return read_weights(network, path)
    except UserError as error:
        sys.exit(str(error))


def read_weights(network: nn.Module, path: Path) -> nn.Module:
    """Load the safetensors file at ``path`` into ``network``.

    Raises:
        UserError: the file is missing, is no safetensors file, or is of another network.
    """
    if not path.is_file():
        raise UserError(
            f"no weights at {path}: train first, with unet-bundles train NAME --data DIR or "
            "python -m monai.bundle run --config_file NAME/configs/train.yaml --bundle_root NAME "
            "--dataset_dir DIR"
        )
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is no safetensors file ({error}): give one of a run") from error
    own = network.state_dict()
    for name in own.keys() | state.keys():
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
