"""What every backend is."""

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

    def peak_bytes(self, shape: tuple[int, ...]) -> int:
        """What one call on images of ``shape`` (B, C, *S) takes at its peak.

        That is what comes on top of the memory that the process holds, the images among it; an
        upper estimate.
        """

    def release(self) -> None:
        """Give back the memory that only a call needs; the weights stay."""


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
