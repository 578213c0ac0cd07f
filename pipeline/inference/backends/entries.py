"""Entries of the cache: converted once, by a process of its own, then read."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from pipeline.bundles import Bundle
from pipeline.errors import UserError
from pipeline.inference.backends import cache
from pipeline.inference.settings import Settings
from pipeline.progress import console

_CONVERTERS = {"openvino": ("onnx", "onnxscript"), "onnxruntime": ("onnx", "onnxscript")}


class Unusable(Exception):  # noqa: N818 - it is no error where another backend is left
    """Why a backend cannot be taken, and what to do."""


def converted(bundle: Bundle, weights: Path, backend: str, device: str = "cpu") -> Path:
    """The entry of the cache for ``backend``, made and checked if it is not there.

    Raises:
        Unusable: the backend cannot hold the network, or computes something else.
        UserError: the weights are of another network, or the bundle cannot be planned.
    """
    entry = cache.entry_of(bundle, weights, backend, device)
    report = cache.report_of(entry)
    if report is None:
        _convert(bundle, weights, backend, device, entry)
        report = cache.report_of(entry) or {"reason": f"{entry} changed"}
    if report.get("verdict") != "passed":
        raise Unusable(f"{report['reason']}; take another backend")
    return entry


def quantised(bundle: Bundle, weights: Path) -> Path:
    """The entry of the cache that ``unet-bundles quantise`` made.

    Raises:
        Unusable: there is none.
    """
    entry = cache.entry_of(bundle, weights, "openvino-int8")
    if (cache.report_of(entry) or {}).get("verdict") != "passed":
        raise Unusable(f"it was not quantised; run unet-bundles quantise {bundle.root} --data DIR")
    return entry


def settings_of(entry: Path) -> Settings:
    """What decides a prediction besides the weights."""
    return Settings.from_json(json.loads((entry / cache.SETTINGS).read_text()))


def bytes_per_voxel(entry: Path) -> float:
    """See ``pipeline.inference.backends.footprint``."""
    return float(json.loads((entry / cache.REPORT).read_text())["bytes_per_voxel"])


def _convert(bundle: Bundle, weights: Path, backend: str, device: str, entry: Path) -> None:
    for package in _CONVERTERS.get(backend, ()):
        if find_spec(package) is None:
            raise Unusable(f"conversion needs {package}; pip install 'unet-bundles[onnx]'")
    console.print(
        f"preparing {bundle.name} for {backend}, once; it is kept in {entry.parent}",
        soft_wrap=True,
        markup=False,
    )
    with cache.writing(entry) as folder:
        arguments = {
            "root": str(bundle.root.resolve()),
            "domain": bundle.domain,
            "weights": str(weights.resolve()),
            "backend": backend,
            "device": device,
            "folder": str(folder),
        }
        done = subprocess.run(
            [
                sys.executable,
                "-P",
                "-m",
                "pipeline.inference.backends.converting",
                json.dumps(arguments),
            ],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        mistake = folder / cache.MISTAKE
        if mistake.is_file():
            raise UserError(mistake.read_text())
        if cache.report_of(folder) is None:
            said = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
            raise Unusable(
                f"its conversion ended with status {done.returncode} ({said}); take another backend"
            )
        cache.check_unchanged(entry, bundle, weights, backend, device)
