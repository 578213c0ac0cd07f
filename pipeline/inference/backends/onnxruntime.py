"""Logits by ONNX Runtime on the CPU; neither torch nor monai is imported."""

from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.inference.backends.backend import Array, voxels

FILE = "network.onnx"
"""In an entry of the cache."""

_FACTOR = 2.6
"""Of the float32 bytes that eager PyTorch holds at once. Measured: 0.65 (unet3d), 0.9 (no_new_net),
2.4 (SegResNet)."""

_CONSTANT = 32 * 2**20
_TICK = 0.1  # seconds


class ONNXRuntime:
    """A converted network.

    Args:
        folder: with ``FILE``.
        bytes_per_voxel: see ``pipeline.inference.backends.footprint``.
        threads: that compute.
    """

    name = "onnxruntime"

    def __init__(self, folder: Path, bytes_per_voxel: float, threads: int) -> None:
        from onnxruntime import InferenceSession, SessionOptions

        options = SessionOptions()
        options.intra_op_num_threads = threads
        options.enable_mem_pattern = False
        options.enable_cpu_mem_arena = False  # what a call needed is given back after it
        options.log_severity_level = 3
        self._session: Any = InferenceSession(
            folder / FILE, options, providers=["CPUExecutionProvider"]
        )
        self._bytes_per_voxel = bytes_per_voxel
        self._aside = ThreadPoolExecutor(1)

    def __call__(self, images: Array) -> Array:
        """Logits (B, K, *S) of images (B, C, *S); see ``Backend``."""
        from onnxruntime import RunOptions

        options, given = RunOptions(), {"image": np.ascontiguousarray(images, np.float32)}
        run = self._aside.submit(self._session.run, None, given, options)
        try:
            while not wait([run], _TICK).done:  # lets Ctrl-C through
                pass
        except BaseException:
            options.terminate = True
            wait([run])
            raise
        logits: Array = run.result()[0]
        return logits

    def ready(self, shape: tuple[int, ...]) -> None:
        """Nothing to do: ONNX Runtime takes any shape."""

    def peak_bytes(self, shape: tuple[int, ...]) -> int:
        """What one call takes at its peak, in bytes; see ``Backend``."""
        return int(_FACTOR * self._bytes_per_voxel * voxels(shape)) + _CONSTANT

    def free_bytes(self) -> int | None:
        """None: it runs in the machine's own memory."""

    def release(self) -> None:
        """Nothing is kept between calls."""
