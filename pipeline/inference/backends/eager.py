"""Logits by PyTorch itself, on the CPU or a GPU."""

import ctypes
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.distributed import keep_freed_memory
from pipeline.inference.backends.backend import Array, voxels
from pipeline.inference.backends.footprint import bytes_per_voxel
from pipeline.inference.engine import OutOfMemory

_FACTOR = {"cpu": 2.0, "cuda": 1.5}
"""Of the bytes of all tensors that live at once; convolutions make copies in an order of their own.
Measured on a CPU: 1.4 (unet3d), 1.6 (no_new_net), 1.9 (SegResNet)."""

_CONSTANT = 64 * 2**20


def lay_out(network: nn.Module, memory_format: torch.memory_format, dimensions: int) -> None:
    """Store the tensors of ``network`` that have so many ``dimensions`` in ``memory_format``.

    ``Module.to`` does it to all of four and five, and fails at one of four in a 3D network.
    """
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.dim() == dimensions:
            tensor.data = tensor.data.contiguous(memory_format=memory_format)


class Eager:
    """A network as PyTorch runs it.

    On a GPU in half precision, bfloat16 where the card has it; channels last.

    Args:
        network: in eval mode, on the CPU.
        in_channels: of an image.
        size: of an image that the network takes, voxels.
        device: such as "cpu" or "cuda:0".
        threads: None leaves the number to PyTorch.
    """

    name = "eager"

    def __init__(
        self,
        network: nn.Module,
        in_channels: int,
        size: tuple[int, ...],
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        keep_freed_memory()
        if threads is not None:
            torch.set_num_threads(threads)
        self._device = torch.device(device)
        self._bytes_per_voxel = bytes_per_voxel(network, in_channels, size)
        self._dtype = torch.float32
        self._format = torch.contiguous_format
        if self._device.type == "cuda":
            with torch.cuda.device(self._device):
                fine = torch.cuda.is_bf16_supported(including_emulation=False)
            self._dtype = torch.bfloat16 if fine else torch.float16
            self._format = torch.channels_last_3d if len(size) == 3 else torch.channels_last
        lay_out(network.to(self._device), self._format, len(size) + 2)
        self._network: Callable[[Tensor], Tensor] = network

    @torch.inference_mode()
    def __call__(self, images: Array) -> Array:
        """Logits (B, K, *S) of images (B, C, *S); see ``Backend``."""
        try:
            image = torch.from_numpy(np.ascontiguousarray(images, np.float32)).to(self._device)
            image = image.contiguous(memory_format=self._format)
            with torch.autocast(
                self._device.type, self._dtype, enabled=self._dtype != torch.float32
            ):
                logits = self._network(image)
            return logits.float().contiguous().cpu().numpy()
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            size = " x ".join(map(str, images.shape[2:]))
            raise OutOfMemory(
                f"{self._device} has no memory for {len(images)} windows of {size} voxels: free "
                "some, take --device cpu, or name a smaller patch_size in the bundle's inferer"
            ) from error

    def ready(self, shape: tuple[int, ...]) -> None:
        """Nothing to do: PyTorch takes any shape."""

    def peak_bytes(self, shape: tuple[int, ...]) -> int:
        """What one call takes at its peak, in bytes; see ``Backend``."""
        factor = _FACTOR.get(self._device.type, 2.0) * self._dtype.itemsize / 4
        return int(factor * self._bytes_per_voxel * voxels(shape)) + _CONSTANT

    def free_bytes(self) -> int | None:
        """Bytes that a card has left for a call; see ``Backend``."""
        if self._device.type != "cuda":
            return None
        free, _ = torch.cuda.mem_get_info(self._device)
        kept = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return free + kept

    def release(self) -> None:
        """Give back the memory that only a call needs."""
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        else:
            with suppress(AttributeError, TypeError, OSError):  # another C library
                ctypes.CDLL(None).malloc_trim(0)
