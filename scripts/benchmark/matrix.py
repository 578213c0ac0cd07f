"""The machine's peak: large matrix products, the best of several sizes and two libraries.

python scripts/benchmark/matrix.py cpu    # prints multiply-adds a second: FP32 of all cores
python scripts/benchmark/matrix.py cuda   # FP16 of the card
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

SIZES = (1024, 1536, 2048, 3072, 4096)
COUNTED = 64
"""Voxels along each axis of the image whose multiply-adds are counted."""


def best_rate(device: str) -> float:
    """Multiply-adds a second of the fastest product, measured in a process of its own."""
    command = [sys.executable, __file__, device]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(ended.stdout)


def a_voxel(network: nn.Module, in_channels: int) -> float:
    """Multiply-adds of ``network`` for each voxel of the image, in evaluation."""
    image = torch.empty(1, in_channels, *(COUNTED,) * 3, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.to("meta").eval()(image)
    return counter.get_total_flops() / 2 / COUNTED**3


def rate(product: Callable[[Any, Any], Any], left: Any, right: Any) -> float:
    """Multiply-adds a second of the fastest of five products of square matrices."""
    product(left, right)
    seconds = []
    for _ in range(5):
        began = perf_counter()
        product(left, right)
        seconds.append(perf_counter() - began)
    return len(left) ** 3 / min(seconds)


def on_card(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """A product on a GPU, waited for."""
    product = left @ right
    torch.cuda.synchronize()
    return product


def rates(device: str) -> Iterator[float]:
    """Of every size and library."""
    for size in SIZES:
        pair = np.random.default_rng(0).random((2, size, size), np.float32)
        if device == "cpu":
            yield rate(np.matmul, *pair)
            yield rate(torch.mm, *torch.from_numpy(pair))
        else:
            yield rate(on_card, *torch.from_numpy(pair).to(device, torch.float16))


def main() -> None:
    """Print the best rate."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    print(max(rates(sys.argv[1])))


if __name__ == "__main__":
    main()
