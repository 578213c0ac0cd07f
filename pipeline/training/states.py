"""Nested states as a file of tensors and a JSON of the rest, and the states of all randomness."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

_TENSOR = "tensor:"


def packed(state: Any, tensors: dict[str, Tensor], path: str = "") -> Any:
    """``state`` as JSON can hold it; its tensors are moved into ``tensors``.

    Args:
        state: nested mappings and lists of numbers, strings, None and tensors.
        tensors: filled by the path of each tensor in ``state``.
        path: of ``state``.
    """
    if isinstance(state, Tensor):
        tensors[path] = state.detach().cpu().contiguous().clone()
        return _TENSOR + path
    if isinstance(state, Mapping):
        return {str(key): packed(value, tensors, f"{path}.{key}") for key, value in state.items()}
    if isinstance(state, list | tuple):
        return [packed(value, tensors, f"{path}.{index}") for index, value in enumerate(state)]
    return state


def unpacked(state: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What ``packed`` was given, but lists for tuples, and numbers for keys that look like them."""
    if isinstance(state, str) and state.startswith(_TENSOR):
        return tensors[state.removeprefix(_TENSOR)]
    if isinstance(state, Mapping):
        return {
            int(key) if key.isdigit() else key: unpacked(value, tensors)
            for key, value in state.items()
        }
    if isinstance(state, list):
        return [unpacked(value, tensors) for value in state]
    return state


def randomness() -> dict[str, Any]:
    """The states of all generators that a network on this process's device may draw from."""
    numpy: Any = np.random.get_state(legacy=False)  # noqa: NPY002
    numpy["state"]["key"] = torch.from_numpy(numpy["state"]["key"].astype(np.int64))
    return {
        "python": random.getstate(),
        "numpy": numpy,
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def restore_randomness(state: Mapping[str, Any]) -> None:
    """Set all generators to what ``randomness`` gave."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    numpy = state["numpy"]
    numpy["state"]["key"] = numpy["state"]["key"].numpy().astype(np.uint32)
    np.random.set_state(numpy)  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
