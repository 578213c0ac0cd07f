"""Choose a backend for a bundle and load it."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pipeline.bundles import Bundle, no_weights
from pipeline.errors import UserError, nearest
from pipeline.inference.backends import cache
from pipeline.inference.backends.backend import Backend
from pipeline.inference.backends.backend import Model as Model
from pipeline.inference.backends.entries import (
    Unusable,
    bytes_per_voxel,
    converted,
    quantised,
    settings_of,
)
from pipeline.inference.backends.machine import cores, cxx_compiler, has_gpu, threaded
from pipeline.progress import console

AUTO = {"cpu": ("openvino", "onnxruntime", "eager"), "cuda": ("compiled", "eager")}
"""In the order in which they are tried, the last always runs.

On a CPU ``compiled`` never makes up for the time that it takes to compile.
"""


def load(
    bundle: Bundle,
    weights: Path,
    backend: str = "auto",
    device: str | None = None,
    threads: int | None = None,
) -> Model:
    """The network of ``bundle`` as a backend runs it.

    Args:
        bundle: whose inference config is used.
        weights: a safetensors file.
        backend: one of ``BACKENDS``, or "auto" for the first that is installed and computes the
            same as PyTorch.
        device: such as "cpu" or "cuda:0"; None takes the GPU if there is one and the backend can.
        threads: on a CPU; None takes one for each core.

    Raises:
        UserError: the backend cannot be had, or the weights are missing or of another network.
    """
    if backend != "auto" and backend not in BACKENDS:
        raise UserError(f"unknown backend {backend!r}: {nearest(backend, ('auto', *BACKENDS))}")
    if not weights.is_file():
        missing = f"no weights at {weights}: give the safetensors file of a run"
        raise UserError(no_weights(bundle) if weights == bundle.weights else missing)
    if device is None:
        device = "cuda:0" if backend not in ON_CPU and has_gpu() else "cpu"
    wanted = _Wanted(bundle, weights, device, threads)
    if backend == "auto":
        return _first_that_agrees(wanted)
    try:
        return _loaded(wanted, backend)
    except Unusable as reason:
        raise UserError(f"--backend {backend} cannot run {bundle.name}: {reason}") from reason


@dataclass(frozen=True)
class _Wanted:
    bundle: Bundle
    weights: Path
    device: str
    threads: int | None

    @property
    def kind(self) -> str:
        return self.device.partition(":")[0]


def _first_that_agrees(wanted: _Wanted) -> Model:
    *faster, last = AUTO.get(wanted.kind, ("eager",))
    for name in faster:
        if _missing(name) is not None:
            continue
        entry = cache.entry_of(wanted.bundle, wanted.weights, name, wanted.device)
        known = cache.report_of(entry) is not None
        try:
            return _told(wanted, _loaded(wanted, name))
        except Unusable as reason:
            if not known:
                _tell(f"{wanted.bundle.name} cannot run on {name}: {reason}")
    return _told(wanted, _loaded(wanted, last))


def _loaded(wanted: _Wanted, backend: str) -> Model:
    missing = _missing(backend)
    if missing is not None:
        raise Unusable(missing)
    if backend in ON_CPU and wanted.kind != "cpu":
        raise Unusable(f"it runs on no {wanted.device}; take cpu, or eager as backend")
    return BACKENDS[backend](wanted, backend)


def _missing(backend: str) -> str | None:
    """What has to be installed before ``backend`` can run."""
    if backend == "compiled":
        return None if cxx_compiler() else "it needs a C++ compiler; install one, or take eager"
    package, extra = ON_CPU.get(backend, ("torch", ""))
    if find_spec(package) is not None:
        return None
    return f"it needs {package}; pip install 'unet-bundles[{extra}]'"


def _openvino(wanted: _Wanted, name: str) -> Model:
    if name == "openvino-int8":
        entry = quantised(wanted.bundle, wanted.weights)
    else:
        entry = converted(wanted.bundle, wanted.weights, name)
    from pipeline.inference.backends.openvino import OpenVINO

    threads = wanted.threads or cores()
    return _of_entry(wanted, entry, OpenVINO(entry, bytes_per_voxel(entry), name, threads), threads)


def _onnxruntime(wanted: _Wanted, name: str) -> Model:
    entry = converted(wanted.bundle, wanted.weights, name)
    from pipeline.inference.backends.onnxruntime import ONNXRuntime

    threads = wanted.threads or cores()
    return _of_entry(wanted, entry, ONNXRuntime(entry, bytes_per_voxel(entry), threads), threads)


def _of_entry(wanted: _Wanted, entry: Path, backend: Backend, threads: int) -> Model:
    return Model(
        settings_of(entry),
        backend,
        cache.sha256(wanted.weights),
        "cpu",
        threaded(threads),
    )


def _by_torch(wanted: _Wanted, name: str) -> Model:
    if name == "compiled":
        converted(wanted.bundle, wanted.weights, name, wanted.device)
    from pipeline.inference.backends.by_torch import torch_model

    return torch_model(wanted.bundle, wanted.weights, name, wanted.device, wanted.threads)


def _told(wanted: _Wanted, model: Model) -> Model:
    _tell(f"{wanted.bundle.name} runs on {model.backend.name}, {model.device_name}")
    return model


def _tell(line: str) -> None:
    console.print(line, soft_wrap=True, markup=False)


BACKENDS: dict[str, Callable[[_Wanted, str], Model]] = {
    "openvino": _openvino,
    "openvino-int8": _openvino,
    "onnxruntime": _onnxruntime,
    "compiled": _by_torch,
    "eager": _by_torch,
}
"""What ``--backend`` takes besides "auto"."""

ON_CPU = {
    "openvino": ("openvino", "openvino"),
    "openvino-int8": ("openvino", "openvino"),
    "onnxruntime": ("onnxruntime", "onnx"),
}
"""Backends that run on a CPU only: their package, and the extra that installs it."""
