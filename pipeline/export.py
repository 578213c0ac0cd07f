"""Export a bundle's network for runtimes that know nothing of this project."""

import io
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import Tensor, nn

from pipeline.bundles import Bundle, no_weights
from pipeline.errors import UserError, origin
from pipeline.files import write_bytes
from pipeline.openvino_core import core, imported
from pipeline.weights import read_weights

TOLERANCE = 0.05
"""Of the largest logit: a difference that rounding cannot explain, and nothing is written."""

_DIVISOR = 16  # of a network that tells none

Files = Mapping[str, bytes]
"""The content of each file by its suffix."""


@dataclass(frozen=True)
class Format:
    """How a network becomes files, and how these are run.

    Attributes:
        suffix: of the file that a user names.
        packages: those that are not among the project's own.
        write: the files of a network, traced with an image where the format is a trace.
        read: what these files compute, on the CPU.
    """

    suffix: str
    packages: tuple[str, ...]
    write: Callable[[nn.Module, Tensor], Files]
    read: Callable[[Files], Callable[[Tensor], Tensor]]


@dataclass(frozen=True)
class Parity:
    """An exported network against the one it was made of, on an image of another size.

    Attributes:
        shape: of the image, (1, C, *S).
        difference: largest absolute difference of two logits.
        largest: largest absolute logit.
    """

    shape: tuple[int, ...]
    difference: float
    largest: float


def export(
    bundle: Bundle,
    format_name: str,
    output: Path,
    weights: Path | None = None,
) -> Parity:
    """Write the network of ``bundle``, image to logits of one window, whole or not at all.

    Batch and sizes stay free: every size that is a multiple of the network's divisor, from twice
    the divisor on.

    Args:
        bundle: whose inference config says what the network is, and of which domain.
        format_name: one of ``FORMATS``.
        output: the file; ``openvino`` writes the weights beside it, in a ``.bin``.
        weights: a safetensors file; None takes the bundle's own.

    Raises:
        UserError: a package or the weights are missing, the format cannot hold this network, or
            the file cannot be written.
    """
    form = FORMATS[format_name]
    _check(form, format_name, output)
    if weights is None and not bundle.weights.is_file():
        raise UserError(no_weights(bundle))
    config = bundle.config("inference")
    network: Any = ConfigParser(config).get_parsed_content("network_def")
    network = read_weights(network, weights or bundle.weights).eval()
    example, other = images(
        _divisor(network, bundle), config["spatial_dims"], bundle.task.in_channels
    )
    try:
        files = form.write(network, example)
        parity = _parity(network, form.read(files), other)
    except Exception as error:
        raise UserError(
            f"{bundle.name} cannot be exported as {format_name} ({reason(error)}): "
            "choose another format"
        ) from error
    if not parity.difference <= TOLERANCE * parity.largest:
        raise UserError(
            f"{bundle.name} as {format_name} differs from the network by {parity.difference:.1e} "
            f"where logits reach {parity.largest:.1e}, so nothing was written: "
            "choose another format"
        )
    for suffix, content in files.items():
        write_bytes(output.with_suffix(suffix), content)
    return parity


def reason(error: BaseException) -> str:
    """The first line of what caused ``error`` at the bottom."""
    cause = origin(error)
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]


def _check(form: Format, format_name: str, output: Path) -> None:
    for package in form.packages:
        if find_spec(package) is None:
            raise UserError(
                f"--format {format_name} needs {package}: pip install 'unet-bundles[{format_name}]'"
            )
    if output.suffix != form.suffix:
        raise UserError(f"--format {format_name} writes a {form.suffix}: end {output} in it")


def divisor_of(network: nn.Module, windowing: Any) -> int:
    """What sizes of images are to be multiples of; of MONAI's networks the bundle tells it.

    Args:
        network: that may tell it itself.
        windowing: of the bundle's inferer, see ``pipeline.inference.plan.Windowing``.
    """
    own: int | None = getattr(network, "divisor", None)
    if own is not None:
        return own
    if windowing.divisor > 1:
        return int(windowing.divisor)
    return math.gcd(_DIVISOR, *(windowing.patch_size or ()))


def _divisor(network: nn.Module, bundle: Bundle) -> int:
    from pipeline.inference.settings import Settings  # which asks for what another inferer lacks

    own: int | None = getattr(network, "divisor", None)
    if own is not None:
        return own
    try:
        return divisor_of(network, Settings.of(bundle, 1).windowing)
    except UserError:  # an inferer of another kind tells no windows
        return _DIVISOR


def images(divisor: int, spatial_dims: int, in_channels: int) -> tuple[Tensor, Tensor]:
    """Two images to trace with, and one of another size along every axis.

    Tracing takes a size of one for a constant, hence two images, with two voxels along each axis
    at the coarsest level.
    """
    small = [2 * divisor] * spatial_dims
    large = [3 * divisor] * (spatial_dims - 1) + [4 * divisor]
    random = torch.Generator().manual_seed(0)
    return (
        torch.randn(2, in_channels, *small, generator=random),
        torch.randn(1, in_channels, *large, generator=random),
    )


@torch.inference_mode()
def _parity(network: nn.Module, exported: Callable[[Tensor], Tensor], image: Tensor) -> Parity:
    eager = network(image)
    difference = (exported(image) - eager).abs().max().item()
    return Parity(tuple(image.shape), difference, eager.abs().max().item())


@contextmanager
def _quiet(message: str, category: type[Warning]) -> Iterator[None]:
    """Leave out one warning: exporters call what torch itself deprecates."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message, category)
        yield


_TREESPEC = ("`isinstance.treespec, LeafSpec.`", FutureWarning)
_TORCHSCRIPT = ("`torch.jit", DeprecationWarning)


def _program(network: nn.Module, image: Tensor) -> torch.export.ExportedProgram:
    sizes = {axis: torch.export.Dim.AUTO for axis in range(image.dim()) if axis != 1}
    with _quiet(*_TREESPEC):
        return torch.export.export(network, (image,), dynamic_shapes=(sizes,))


def _write_pt2(network: nn.Module, image: Tensor) -> Files:
    file = io.BytesIO()
    torch.export.save(_program(network, image), file)
    return {".pt2": file.getvalue()}


def _read_pt2(files: Files) -> Callable[[Tensor], Tensor]:
    return torch.export.load(io.BytesIO(files[".pt2"])).module()


def write_onnx(network: nn.Module, image: Tensor, opset: int | None = None) -> Files:
    """The ONNX file of ``network``, from "image" to "logits".

    Args:
        network: in eval mode.
        image: two images, see ``images``.
        opset: version of ONNX's operators; None takes what torch prefers.
    """
    names: Any = {"input_names": ["image"], "output_names": ["logits"], "opset_version": opset}
    with _quiet(*_TREESPEC):
        program = torch.onnx.export(_program(network, image), dynamo=True, verbose=False, **names)
    if program is None:
        raise RuntimeError("torch gave no ONNX program")
    return {".onnx": program.model_proto.SerializeToString()}


def _read_onnx(files: Files) -> Callable[[Tensor], Tensor]:
    from onnxruntime import InferenceSession

    session = InferenceSession(files[".onnx"], providers=["CPUExecutionProvider"])
    return lambda image: torch.from_numpy(session.run(["logits"], {"image": image.numpy()})[0])


def _write_torchscript(network: nn.Module, _image: Tensor) -> Files:
    file = io.BytesIO()
    with _quiet(*_TORCHSCRIPT):
        torch.jit.save(torch.jit.script(network), file)
    return {".ts": file.getvalue()}


def _read_torchscript(files: Files) -> Callable[[Tensor], Tensor]:
    with _quiet(*_TORCHSCRIPT):
        return torch.jit.load(io.BytesIO(files[".ts"]))  # type: ignore[no-untyped-call]


def _write_openvino(network: nn.Module, image: Tensor) -> Files:
    model = core().read_model(write_onnx(network, image)[".onnx"])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "network.xml"
        imported().save_model(model, path, compress_to_fp16=False)
        return {suffix: path.with_suffix(suffix).read_bytes() for suffix in (".bin", ".xml")}


def _read_openvino(files: Files) -> Callable[[Tensor], Tensor]:
    model = core().read_model(files[".xml"], files[".bin"])
    compiled = core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda image: torch.from_numpy(compiled(image.numpy())[0])


_ONNX = ("onnx", "onnxscript", "onnxruntime")

FORMATS = {
    "pt2": Format(".pt2", (), _write_pt2, _read_pt2),
    "onnx": Format(".onnx", _ONNX, write_onnx, _read_onnx),
    "torchscript": Format(".ts", (), _write_torchscript, _read_torchscript),
    "openvino": Format(".xml", (*_ONNX, "openvino"), _write_openvino, _read_openvino),
}
