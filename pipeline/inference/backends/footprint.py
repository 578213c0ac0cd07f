"""How much memory the tensors of a network take at once."""

from typing import Any

import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@torch.no_grad()
def bytes_per_voxel(network: nn.Module, in_channels: int, size: tuple[int, ...]) -> float:
    """Float32 bytes that live at the peak of one call, for each voxel of an image.

    The call is played through without numbers. The image counts, the weights do not.

    Args:
        network: in eval mode, its weights on any device.
        in_channels: of the image.
        size: of an image that the network takes, voxels.
    """
    state = {name: value.to("meta") for name, value in network.state_dict().items()}
    image = torch.empty(1, in_channels, *size, device="meta")
    with _Live() as live:
        torch.func.functional_call(network, state, (image,))
    return (live.peak + image.nbytes) / image[0, 0].numel()


class _Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages that operations make and that something still holds."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._sizes: dict[StorageWeakRef, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = set(_references((args, kwargs)))
        self._sizes |= {
            reference: size
            for reference, size in _references(out).items()
            if reference not in given
        }
        self._sizes = {
            reference: size
            for reference, size in self._sizes.items()
            if not reference.expired()  # type: ignore[no-untyped-call]
        }
        self.peak = max(self.peak, sum(self._sizes.values()))
        return out


def _references(tree: Any) -> dict[StorageWeakRef, int]:
    """The storages of all tensors in ``tree``, which this does not hold, with their bytes."""
    tensors = (leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor))
    storages = (tensor.untyped_storage() for tensor in tensors)
    return {StorageWeakRef(one): one.nbytes() for one in storages}  # type: ignore[no-untyped-call]
