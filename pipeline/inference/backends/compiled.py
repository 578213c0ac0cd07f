"""Logits by what ``torch.compile`` makes of a network."""

import os
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pipeline.inference.backends import cache
from pipeline.inference.backends.backend import Array
from pipeline.inference.backends.eager import Eager
from pipeline.inference.engine import OutOfMemory


class Compiled(Eager):
    """A network that is compiled at its first call, on a GPU replayed as a CUDA graph.

    A batch that is smaller than an earlier one is filled up, since each shape is compiled anew. See
    ``Eager`` for what it is made of.
    """

    name = "compiled"

    def __init__(
        self,
        network: nn.Module,
        in_channels: int,
        size: tuple[int, ...],
        device: str = "cpu",
        threads: int | None = None,
    ) -> None:
        folder: Path = cache.home() / "inductor"
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
        super().__init__(network, in_channels, size, device, threads)
        mode = "reduce-overhead" if self._device.type == "cuda" else None
        self._network = torch.compile(self._network, mode=mode)
        self._batches: dict[tuple[int, ...], int] = {}

    def __call__(self, images: Array) -> Array:
        """Logits (B, K, *S) of images (B, C, *S); see ``Backend``."""
        num_images, size = len(images), images.shape[1:]
        batch = self._batch(images.shape)
        if batch > num_images:
            images = np.concatenate([images, np.zeros((batch - num_images, *size), np.float32)])
        try:
            logits = super().__call__(images)
        except OutOfMemory:
            self._batches.pop(size, None)
            raise
        self._batches[size] = batch
        return logits[:num_images]

    def peak_bytes(self, shape: tuple[int, ...]) -> int:
        """What one call takes at its peak, filled up, in bytes; see ``Backend``."""
        return super().peak_bytes((self._batch(shape), *shape[1:]))

    def _batch(self, shape: tuple[int, ...]) -> int:
        return max(shape[0], self._batches.get(shape[1:], 0))
