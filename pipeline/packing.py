"""Pack a bundle into one zip that runs wherever the public dependencies are installed."""

import io
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from pipeline.bundles import Bundle
from pipeline.errors import UserError
from pipeline.files import write_bytes

DISTRIBUTION = "unet-bundles"
OWN_KEYS = ("monai", "numpy", "torch")
"""Packages whose versions have a key of their own in ``metadata.json``."""

TRAVELS = ("LICENSE", "configs", "docs", "models")
"""What a pack holds of a bundle; neither the split's names of cases nor curves nor checkpoints."""

LEFT = ("__pycache__", "_bundles", "assets")


def pack(bundle: Bundle, output: Path) -> None:
    """Write a zip of ``bundle`` with this package beside its configs, whole or not at all.

    Each config stands there as YAML and as JSON, which some tools of MONAI read alone. Equal
    bundles give equal bytes.

    Raises:
        UserError: ``output`` does not end in ``.zip`` or cannot be written.
    """
    if output.suffix != ".zip":
        raise UserError(f"a pack is a zip: end {output} in .zip")
    folder = bundle.root.resolve().name
    archive = io.BytesIO()
    with ZipFile(archive, "w", ZIP_DEFLATED) as file:
        for name, content in sorted(_contents(bundle).items()):
            entry = ZipInfo(f"{folder}/{name}")  # dated 1980
            entry.compress_type = ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            file.writestr(entry, content)
    write_bytes(output, archive.getvalue())


def _contents(bundle: Bundle) -> dict[str, bytes]:
    """The content of each file of the pack by its path."""
    package = Path(__file__).parent
    contents = {f"pipeline/{name}": path.read_bytes() for name, path in _files(package)}
    contents |= {
        name: path.read_bytes()
        for name, path in _files(bundle.root)
        if name.partition("/")[0] in TRAVELS
    }
    for workflow in ("train", "inference"):
        contents[f"configs/{workflow}.json"] = _json(bundle.config(workflow))
    metadata = bundle.metadata
    metadata["required_packages_version"] = _requirements(metadata["required_packages_version"])
    contents["configs/metadata.json"] = _json(metadata)
    return contents


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    """Each file below ``root`` with its path from there; no caches, hidden files or bundles."""
    for path in root.rglob("*"):
        inner = path.relative_to(root)
        left = any(part in LEFT or part.startswith(".") for part in inner.parts)
        if path.is_file() and not left:
            yield inner.as_posix(), path


def _requirements(own: dict[str, str]) -> dict[str, str]:
    """The packages to install: those of the bundle, and what the package itself is built on."""
    needed = dict(own)
    for requirement in _required():
        match = re.match(r"[\w.-]+", requirement)
        if match and match[0] not in OWN_KEYS and "extra ==" not in requirement:
            with suppress(PackageNotFoundError):
                needed[match[0]] = version(match[0])
    needed.pop(DISTRIBUTION, None)
    return needed


def _required() -> list[str]:
    """What this package requires; nothing where it was not installed."""
    try:
        return requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return []


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
