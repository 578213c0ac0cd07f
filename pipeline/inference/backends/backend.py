"""What every backend is."""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.inference.settings import Settings

Array = NDArray[np.float32]


class Backend(Protocol):
    """A network with its weights, ready to be called."""

    @property
    def name(self) -> str:
        """As ``--backend`` takes it."""

    def __call__(self, images: Array) -> Array:
        """Logits of ``images``, in an array of their own.

        Shape:
            (B, C, *S) -> (B, K, *S), with two or three axes S

        Raises:
            OutOfMemory: the device has no memory left for so many images.
        """

    def ready(self, shape: tuple[int, ...]) -> None:
        """Do once what calls on images of ``shape`` (B, C, *S) need, such as compiling."""

    def peak_bytes(self, shape: tuple[int, ...]) -> int:
        """What one call on images of ``shape`` (B, C, *S) takes at its peak.

        That is what comes on top of the memory that the process holds, the images among it; an
        upper estimate.
        """

    def free_bytes(self) -> int | None:
        """Bytes that a device of its own has left for a call; None where it takes the machine's."""

    def release(self) -> None:
        """Give back the memory that only a call needs; the weights stay."""


def voxels(shape: tuple[int, ...]) -> int:
    """Voxels of images (B, C, *S)."""
    return shape[0] * math.prod(shape[2:])


@dataclass(frozen=True)
class Model:
    """A bundle, loaded.

    Attributes:
        settings: what decides a prediction besides the weights.
        backend: the network.
        weights_sha256: of the file of the weights, hexadecimal.
        device: such as "cpu" or "cuda:0".
        device_name: with the number of threads or the name of the card.
    """

    settings: Settings
    backend: Backend
    weights_sha256: str
    device: str
    device_name: str
