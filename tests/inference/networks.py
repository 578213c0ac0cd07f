"""Stand-ins for networks and images, the same for numpy and torch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pipeline.inference.planes import Planes


def image(*shape: int, seed: int = 0) -> np.ndarray:
    """An image (*shape) of which no voxel is zero."""
    return np.random.default_rng(seed).uniform(0.5, 1.5, shape).astype(np.float32)


def filed(volume: np.ndarray, slab_axis: int, folder: Path) -> Planes:
    """A volume (C, *S) as a file of planes along ``slab_axis``."""
    by_plane = np.moveaxis(volume, 1 + slab_axis, 0)
    planes = Planes(folder / f"{slab_axis}_{'_'.join(map(str, volume.shape))}", by_plane.shape)
    planes.write(0, by_plane)
    return planes


def convolution(spatial_dims: int, in_channels: int, out_channels: int) -> nn.Module:
    """A network that sees where a voxel lies in its window, and in which direction."""
    kind = nn.Conv2d if spatial_dims == 2 else nn.Conv3d
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(in_channels, out_channels, 3, padding=1).eval().requires_grad_(False)


def of_numpy(network: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Any], Any]:
    """A network of torch that takes and gives arrays."""
    return lambda images: network(torch.from_numpy(images)).numpy()
