"""Logits by OpenVINO on the CPU; neither torch nor monai is imported."""

from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np

from pipeline.inference.backends.backend import Array, voxels
from pipeline.openvino_core import core, imported

FILE = "network.xml"
"""In an entry of the cache, the weights beside it in a ``.bin``."""

_FACTOR = 0.85
"""Of the float32 bytes that eager PyTorch holds at once; norms and activations need no copy here.
Measured: 0.66 (unet3d) to 0.8 (no_new_net, whose channels are filled up)."""

_COPIES = 2
"""Of the weights while a network is compiled: as they lie in the file, and as they are used."""

_CONSTANT = 32 * 2**20
_TICK = 100  # ms


def options(threads: int) -> dict[str, Any]:
    """How a network is compiled."""
    return {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_NUM_THREADS": threads,
    }


class OpenVINO:
    """A converted network.

    It is compiled anew for each shape, which costs half a second: with free sizes OpenVINO takes
    twice the memory and turns tensors to and fro.

    Args:
        folder: with ``FILE``.
        bytes_per_voxel: see ``pipeline.inference.backends.footprint``.
        name: "openvino", or "openvino-int8" for a quantised network.
        threads: that compute.
    """

    def __init__(self, folder: Path, bytes_per_voxel: float, name: str, threads: int) -> None:
        self.name = name
        self._bytes_per_voxel = bytes_per_voxel
        self._file = folder / FILE
        self._weights_bytes = self._file.with_suffix(".bin").stat().st_size
        self._model: Any = None
        self._reading = Thread(target=self._read_model, daemon=True)
        self._reading.start()  # the network is there once the first case is read
        self._options = options(threads)
        self._shape: tuple[int, ...] = ()
        self._compiled: Any = None
        self._request: Any = None

    def __call__(self, images: Array) -> Array:
        """Logits (B, K, *S) of images (B, C, *S); see ``Backend``."""
        self.ready(images.shape)
        images = np.ascontiguousarray(images, np.float32)
        logits = np.empty(tuple(self._compiled.output(0).shape), np.float32)
        self._request.set_input_tensor(imported().Tensor(images, shared_memory=True))
        self._request.set_output_tensor(imported().Tensor(logits, shared_memory=True))
        self._run()
        return logits

    def ready(self, shape: tuple[int, ...]) -> None:
        """Compile for images of ``shape`` (B, C, *S)."""
        if shape == self._shape:
            return
        self._shape, self._request, self._compiled = (), None, None  # frees what another took
        self._reading.join()
        if self._model is None:
            self._read_model()
        model, self._model = self._model, None
        model.reshape({0: list(shape)})
        self._compiled = core().compile_model(model, "CPU", self._options)
        self._request = self._compiled.create_infer_request()
        self._shape = tuple(shape)

    def peak_bytes(self, shape: tuple[int, ...]) -> int:
        """What one call takes at its peak, in bytes; see ``Backend``."""
        copies = _COPIES if self._compiled is None else _COPIES - 1  # one is there
        weights = copies * self._weights_bytes
        return int(_FACTOR * self._bytes_per_voxel * voxels(shape)) + _CONSTANT + weights

    def free_bytes(self) -> int | None:
        """None: it runs in the machine's own memory."""

    def release(self) -> None:
        """Give back the memory that only a call needs."""
        if self._compiled is not None:
            self._compiled.release_memory()

    def _run(self) -> None:
        """Compute, and let Ctrl-C through meanwhile."""
        self._request.start_async()
        try:
            while not self._request.wait_for(_TICK):
                pass
        except BaseException:
            self._request.cancel()
            with suppress(RuntimeError):  # says that it was cancelled
                self._request.wait()
            raise

    def _read_model(self) -> None:
        self._model = core().read_model(self._file)
