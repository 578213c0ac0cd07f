"""nnU-Net raw data: ``case_0000.nii.gz`` a channel, named by ``channel_names``."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.data.conventions import named_convention
from pipeline.data.layouts.found import Listing, channel_names, gathered, read_json
from pipeline.data.volumes import is_volume, stem
from pipeline.errors import UserError

_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")


def recognises(root: Path) -> bool:
    """Whether ``root`` is such a folder, or one of its folders of images.

    It is not if ``dataset.json`` lists the first image by its very name: nnU-Net leaves out the
    channel, so that these four digits are part of the name of a decathlon's case.
    """
    described = _description(root)
    image = next((path for path, _, _ in _images(root)), None)
    return described is not None and image is not None and image.name not in _listed(described)


def find(root: Path) -> Listing:
    """The cases of ``imagesTr``, ``imagesTs`` and of ``root`` itself, with labels of ``labelsTr``.

    Where ``root`` is ``imagesTs``, labels are those of ``labelsTs``.

    Raises:
        UserError: ``dataset.json`` is missing, cannot be read or names no channels.
    """
    source = _description(root)
    if source is None:
        raise UserError(f"no dataset.json in {root}: copy that of the nnU-Net data there")
    content = read_json(source)
    names = _channel_names(source, content)
    if not names:
        raise UserError(f'{source} has no "channel_names": name the channels, such as "0": "T1"')
    files: dict[str, list[tuple[str, Path]]] = defaultdict(list)
    for path, case, channel in _images(root):
        files[case].append((names.get(channel, f"channel {channel}"), path))
    for case, label in _labels(root):
        if case in files:
            files[case].append(("label", label))
    cases = tuple(gathered(case, images) for case, images in files.items())
    convention = named_convention(content.get("labels"))
    return Listing(source, cases, convention, tuple(names.values()))


def _description(root: Path) -> Path | None:
    """``dataset.json`` of ``root``, or of its parent if ``root`` holds images itself."""
    candidates = (root / "dataset.json", root.parent / "dataset.json")
    return next((path for path in candidates if path.is_file()), None)


def _listed(source: Path) -> set[str]:
    """Names of the images that a ``dataset.json`` of whatever form lists."""
    content = read_json(source)
    parts = content if isinstance(content, dict) else {}
    listed = (parts.get(part) for part in ("training", "test"))
    entries = [entry for part in listed if isinstance(part, list) for entry in part]
    images = (entry.get("image") if isinstance(entry, dict) else entry for entry in entries)
    return {Path(image).name for image in images if isinstance(image, str)}


def _channel_names(source: Path, content: Any) -> dict[int, str]:
    """Canonical modalities by channel; the first version wrote ``modality``."""
    named = content if isinstance(content, dict) else {}
    key = "channel_names" if named.get("channel_names") else "modality"
    return channel_names(source, key, named.get(key) or {})


def _images(root: Path) -> Iterator[tuple[Path, str, int]]:
    for folder in (root / "imagesTr", root / "imagesTs", root):
        for path in _volumes(folder):
            match = _CHANNEL.fullmatch(stem(path))
            if match:
                yield path, match["case"], int(match["channel"])


def _labels(root: Path) -> Iterator[tuple[str, Path]]:
    """Label files by case; those of the test set only where its images alone are given."""
    if root.name in ("imagesTr", "imagesTs"):
        home = root.with_name(root.name.replace("images", "labels"))
    else:
        home = root / "labelsTr"
    for path in _volumes(home):
        yield stem(path), path


def _volumes(folder: Path) -> list[Path]:
    return sorted(filter(is_volume, folder.iterdir())) if folder.is_dir() else []
