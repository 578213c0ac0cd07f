"""Converted networks, kept in a folder of the user's own.

An entry is a folder named by what decides its content. It is written beside and renamed, so it is
there whole or not at all, also where two processes write the same one; its report holds a digest of
each file, so a damaged entry counts as none.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.bundles import Bundle, components
from pipeline.errors import UserError
from pipeline.files import write_json
from pipeline.inference.backends.machine import card_of

VARIABLE = "UNET_BUNDLES_CACHE"
"""Environment variable that moves the cache."""

REPORT = "report.json"
"""In an entry: "verdict" ("passed" or "refused"), "reason", what was compared, "files"."""

SETTINGS = "settings.json"
"""In an entry: what decides a prediction besides the weights."""

MISTAKE = "mistake.txt"
"""In a folder that becomes no entry: the sentence for the user."""

_EXPORTING = ("torch", "monai", "onnx", "onnxscript")
_PACKAGES = {
    "compiled": ("torch", "monai"),
    "openvino": ("openvino", *_EXPORTING),
    "openvino-int8": ("openvino",),
    "onnxruntime": ("onnxruntime", *_EXPORTING),
}
_DECISIVE = (
    "networks/*.py",
    "transforms/*.py",
    "inference/**/*.py",
    "recipe.py",
    "tasks.py",
    "export.py",
)
"""The code of this project that a conversion, or the settings beside it, follow from."""

_A_DAY = 86400  # seconds


def home() -> Path:
    """The folder of the cache, made where it is missing; no one else may write there.

    Raises:
        UserError: it belongs to someone else, others may write in it, or it cannot be made.
    """
    given = os.environ.get(VARIABLE)
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    path = Path(given) if given else Path(base, "unet-bundles").expanduser()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
    except OSError as error:
        raise UserError(
            f"cannot make the cache {path} ({error.strerror}): set {VARIABLE} to another folder"
        ) from error
    if os.name == "posix" and (status.st_uid != os.getuid() or status.st_mode & 0o022):
        raise UserError(
            f"the cache {path} belongs to another user or others may write in it: "
            f"chmod go-w it, or set {VARIABLE} to a folder of your own"
        )
    return path


def entry_of(bundle: Bundle, weights: Path, backend: str, device: str = "cpu") -> Path:
    """Where the conversion of ``bundle`` for ``backend`` is, or would be.

    Its name follows from the weights, the inference config and domain, the code of the networks,
    of the recipe and of the conversion, the card, and the versions of this project and of the
    packages that convert and run. Code of others that the config names counts as well.
    """
    parts = {
        "device": "cpu" if device == "cpu" else card_of(device),
        "weights": sha256(weights),
        "config": hashlib.sha256(bundle.config_file("inference").read_bytes()).hexdigest(),
        "bundle": bundle.root.resolve().name,
        "domain": bundle.domain,
        "backend": backend,
        "code": _own_code(),
        "code of others": _code_of_others(bundle),
        "versions": versions(backend),
    }
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return home() / f"{backend}-{digest[:32]}"


def check_unchanged(
    entry: Path, bundle: Bundle, weights: Path, backend: str, device: str = "cpu"
) -> None:
    """Refuse to keep what was made while the files changed that it is named by.

    Raises:
        UserError: ``entry`` is no more that of these files.
    """
    if entry_of(bundle, weights, backend, device) != entry:
        raise UserError(
            f"{weights} or the config of {bundle.name} changed while the network was converted: "
            "run it again, on a copy if a training still writes there"
        )


def report_of(entry: Path) -> dict[str, Any] | None:
    """The report of ``entry``; None if there is none, or a file of it is missing or changed."""
    try:
        report: dict[str, Any] = json.loads((entry / REPORT).read_text())
        whole = all(sha256(entry / name) == digest for name, digest in report["files"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return report if whole and report.get("verdict") in ("passed", "refused") else None


@contextmanager
def writing(entry: Path) -> Iterator[Path]:
    """A folder to be filled, which then becomes ``entry``; after an exception it is removed.

    ``finish`` is to be called in it last.
    """
    _forget_what_was_cut_off()
    try:
        part = Path(tempfile.mkdtemp(prefix=f".{entry.name}.", suffix=".part", dir=home()))
    except OSError as error:
        raise UserError(
            f"cannot write the cache {home()} ({error.strerror}): set {VARIABLE} to another folder"
        ) from error
    try:
        yield part
        if report_of(entry) is None:
            shutil.rmtree(entry, ignore_errors=True)
            _rename(part, entry)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def finish(part: Path, report: Mapping[str, Any]) -> None:
    """Write ``report`` and the digests of all files beside it."""
    files = {path.name: sha256(path) for path in sorted(part.iterdir()) if path.name != REPORT}
    write_json(part / REPORT, {**report, "files": files})


def versions(backend: str) -> dict[str, str | None]:
    """Versions of the packages that make and run a conversion for ``backend``."""
    return {"unet-bundles": __version__} | {
        name: package_version(name) for name in _PACKAGES[backend]
    }


def sha256(path: Path) -> str:
    """The digest of a file, hexadecimal."""
    status = path.stat()
    return _sha256(path, status.st_mtime_ns, status.st_size)


@cache
def _sha256(path: Path, _changed: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _forget_what_was_cut_off() -> None:
    for part in home().glob(".*.part"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > _A_DAY:
                shutil.rmtree(part)


def _rename(part: Path, entry: Path) -> None:
    try:
        part.rename(entry)
    except OSError:
        if report_of(entry) is None:  # else another process was first, with the same content
            raise


@cache
def _own_code() -> str:
    package = Path(__file__).parents[2]
    files = (path for one in _DECISIVE for path in sorted(package.glob(one)))
    texts = b"".join(path.read_bytes() for path in files)
    return hashlib.sha256(texts).hexdigest()


def _code_of_others(bundle: Bundle) -> dict[str, str | None]:
    """A digest of every package besides ours, MONAI's and torch's that the config names."""
    named = (str(one["_target_"]) for one in components(bundle.config("inference")))
    packages = {name.partition(".")[0] for name in named if "." in name}
    others = packages - {"", "pipeline", "monai", "torch"} - sys.stdlib_module_names
    return {name: _code_of(name) for name in sorted(others)}


def _code_of(package: str) -> str | None:
    spec = find_spec(package)
    if spec is None:
        return None
    total = hashlib.sha256()
    for place in map(Path, spec.submodule_search_locations or [spec.origin or ""]):
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            total.update(path.read_bytes())
    return total.hexdigest()


def package_version(package: str) -> str | None:
    """The version of a distribution; None where another one brings the package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
