"""Test-time mirroring."""

from collections.abc import Callable, Sequence
from itertools import chain, combinations
from typing import Any

from monai.inferers import Inferer
from torch import Tensor


class Mirrored(Inferer):
    """Mean of the logits over an image and its mirror images, each turned back.

    Takes ``2 ** len(axes)`` times as long as ``inferer`` alone, and the memory of one more result.

    Args:
        inferer: predicts each of the images.
        axes: of the volume, 0 to 2, that are mirrored, alone and together.
    """

    def __init__(self, inferer: Inferer, axes: Sequence[int] = (0, 1, 2)) -> None:
        super().__init__()
        self.inferer = inferer
        subsets = (combinations(axes, count) for count in range(len(axes) + 1))
        self.flips = [[axis + 2 for axis in subset] for subset in chain.from_iterable(subsets)]

    def __call__(
        self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Tensor:
        """Logits (1, K, *S) of ``inputs`` (1, C, *S)."""
        total: Any = 0
        for axes in self.flips:
            logits = self.inferer(inputs.flip(axes), network, *args, **kwargs)
            total = total + logits.flip(axes)
        return total / len(self.flips)
