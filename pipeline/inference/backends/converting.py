"""Make and check an entry of the cache: a process of its own, so that torch stays out of others.

Called as ``python -m pipeline.inference.backends.converting``, the arguments as JSON.
"""

import json
import math
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.bundles import Bundle
from pipeline.errors import UserError, sentence
from pipeline.export import divisor_of, images, reason, write_onnx
from pipeline.files import write_bytes, write_json
from pipeline.inference.backends import cache, openvino
from pipeline.inference.backends.backend import Array
from pipeline.inference.backends.by_torch import network_of
from pipeline.inference.backends.channels import fill_channels
from pipeline.inference.backends.compiled import Compiled
from pipeline.inference.backends.eager import Eager
from pipeline.inference.backends.footprint import bytes_per_voxel
from pipeline.inference.backends.norms import rewrite_norms
from pipeline.inference.backends.onnxruntime import FILE as ONNX_FILE
from pipeline.inference.backends.onnxruntime import ONNXRuntime
from pipeline.inference.engine import OutOfMemory
from pipeline.inference.plan import Windowing
from pipeline.inference.settings import Settings
from pipeline.openvino_core import core, imported

TOLERANCE = {"cpu": 1e-3, "cuda": 5e-2}
"""Largest difference of two logits, as a part of the largest logit."""

EQUAL = {"cpu": 0.9999, "cuda": 0.99}
"""Part of the labels that must be equal, at least. The images are noise, so many are near a tie."""

OPSET = 21
"""The first version of ONNX's operators that knows group norm."""

_WINDOW = {2: 256, 3: 64}  # voxels along an axis of the larger image, at most


@dataclass(frozen=True)
class Parity:
    """A conversion against PyTorch, in single precision on the CPU, on two images.

    Attributes:
        shape: of the images, (2, C, *S).
        difference: largest absolute difference of two logits.
        largest: largest absolute logit of the channels that are not one value everywhere.
        labels_equal: part of the labels.
    """

    shape: tuple[int, ...]
    difference: float
    largest: float
    labels_equal: float

    def holds(self, device: str) -> bool:
        """Whether the two compute the same."""
        near = self.difference <= TOLERANCE[device] * self.largest
        return near and self.labels_equal >= EQUAL[device]


def main() -> None:
    """Fill the folder that the argument names."""
    arguments = json.loads(sys.argv[1])
    folder = Path(arguments["folder"])
    bundle = Bundle(Path(arguments["root"]), arguments["domain"])
    try:
        convert(
            bundle, Path(arguments["weights"]), arguments["backend"], arguments["device"], folder
        )
    except MemoryError:
        raise  # another time there may be enough: auto goes on
    except Exception as error:
        mistake = sentence(error)
        if mistake is None or isinstance(error.__cause__, OSError):
            raise  # a full disk is no mistake: auto goes on
        write_bytes(folder / cache.MISTAKE, mistake.encode())


def convert(bundle: Bundle, weights: Path, backend: str, device: str, folder: Path) -> None:
    """Fill ``folder`` with the settings of ``bundle``, its network for ``backend``, and a report.

    The report refuses a backend that cannot hold the network or computes something else.

    Raises:
        UserError: the weights are of another network, or the bundle cannot be planned.
    """
    began = perf_counter()
    network = network_of(bundle, weights)
    settings = Settings.of(bundle, getattr(network, "divisor", None))
    write_json(folder / cache.SETTINGS, settings.to_json())
    divisor = divisor_of(network, settings.windowing)
    in_channels, spatial_dims = settings.task.in_channels, settings.windowing.spatial_dims
    example, other = images(divisor, spatial_dims, in_channels)
    report: dict[str, Any] = {
        "bytes_per_voxel": bytes_per_voxel(network, in_channels, tuple(example.shape[2:])),
        "versions": cache.versions(backend),
        "threads": torch.get_num_threads(),
    }
    try:
        exact = Eager(deepcopy(network), in_channels, tuple(example.shape[2:]))
        own = _MAKERS[backend](network, example, device, folder)
        window = _window(settings.windowing, divisor, in_channels)
        parities = [_parity(exact, own, _with_background(image)) for image in (other, window)]
        kind = device.partition(":")[0]
        report |= {"parity": [asdict(one) for one in parities]} | _verdict(parities, kind)
    except OutOfMemory as error:
        raise MemoryError(str(error)) from error  # no mistake of the user: auto goes on
    except (UserError, OSError):
        raise
    except Exception as error:
        if _may_pass(error):
            raise  # another time there may be enough memory, or a driver that works
        report |= {"verdict": "refused", "reason": reason(error)}
    cache.finish(folder, report | {"seconds": perf_counter() - began})


_PASSING = (
    *("allocate memory", "out of memory"),
    *("CUDA error", "CUDA driver", "cuDNN error", "Triton Error"),
)
"""What libraries say of faults of the machine, not of a network."""


def _may_pass(error: Exception) -> bool:
    kinds = (MemoryError, torch.OutOfMemoryError, torch.AcceleratorError)
    return isinstance(error, kinds) or any(text in str(error) for text in _PASSING)


def _verdict(parities: list[Parity], device: str) -> dict[str, str]:
    for parity in parities:
        shape = " x ".join(map(str, parity.shape))
        if parity.largest == 0:
            return {
                "verdict": "refused",
                "reason": f"on images of {shape} no logits of its network vary, so that nothing "
                "can be compared",
            }
        if not parity.holds(device):
            return {
                "verdict": "refused",
                "reason": f"on images of {shape} its logits differ from PyTorch's by "
                f"{parity.difference:.1e} where they reach {parity.largest:.1e}, and "
                f"{1 - parity.labels_equal:.1e} of the labels",
            }
    return {"verdict": "passed", "reason": ""}


def _window(windowing: Windowing, divisor: int, in_channels: int) -> Tensor:
    """An image of the size of a window, or as much of it as is checked within seconds."""
    most = max(_WINDOW[windowing.spatial_dims], 2 * divisor)
    sizes = windowing.patch_size or (most,) * windowing.spatial_dims
    fitting = [math.ceil(min(size, most) / divisor) * divisor for size in sizes]
    return torch.randn(1, in_channels, *fitting, generator=torch.Generator().manual_seed(1))


def _with_background(image: Tensor) -> Array:
    """``image`` and half its mirror image, with zeros in the outermost eighth as around a head."""
    inner = torch.zeros_like(image)
    box = [slice(size // 8, size - size // 8) for size in image.shape[2:]]
    inner[:, :, *box] = image[:, :, *box]
    return torch.cat([inner, inner.flip(-1) / 2]).numpy()


def _parity(
    exact: Callable[[Array], Array], own: Callable[[Array], Array], images: Array
) -> Parity:
    wanted, given = exact(images), own(images)
    varying = np.ptp(wanted, axis=tuple(range(2, wanted.ndim))) > 0
    return Parity(
        images.shape,
        float(np.abs(given - wanted).max()),
        float(np.abs(wanted[varying]).max(initial=0)),
        _labels_equal(wanted, given),
    )


def _labels_equal(wanted: Array, given: Array) -> float:
    """Part of the voxels that are in the same regions and whose largest logit is the same."""
    regions = ((wanted > 0) == (given > 0)).mean()
    classes = (wanted.argmax(1) == given.argmax(1)).mean()
    return float(min(regions, classes))


def _openvino(network: nn.Module, example: Tensor, _device: str, folder: Path) -> Any:
    model = core().read_model(write_onnx(network, example, OPSET)[".onnx"])
    fill_channels(model)
    rewrite_norms(model)
    try:
        imported().save_model(model, folder / openvino.FILE, compress_to_fp16=False)
    except RuntimeError as error:
        raise OSError(f"cannot write {folder} ({reason(error)})") from error
    return openvino.OpenVINO(folder, 0, "openvino", torch.get_num_threads())


def _onnxruntime(network: nn.Module, example: Tensor, _device: str, folder: Path) -> Any:
    write_bytes(folder / ONNX_FILE, write_onnx(network, example)[".onnx"])
    return ONNXRuntime(folder, 0, torch.get_num_threads())


def _compiled(network: nn.Module, example: Tensor, device: str, _folder: Path) -> Any:
    return Compiled(network, example.shape[1], tuple(example.shape[2:]), device)


_MAKERS: dict[str, Callable[[nn.Module, Tensor, str, Path], Callable[[Array], Array]]] = {
    "openvino": _openvino,
    "onnxruntime": _onnxruntime,
    "compiled": _compiled,
}


if __name__ == "__main__":
    main()
