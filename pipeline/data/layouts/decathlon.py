"""Medical Segmentation Decathlon (MSD): ``dataset.json`` lists files of one or four dimensions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.data.layouts.found import Found, Image, Listing, read_json
from pipeline.data.modalities import canonical
from pipeline.data.volumes import stem
from pipeline.errors import UserError


def recognises(root: Path) -> bool:
    """Whether ``root`` holds a ``dataset.json``."""
    return (root / "dataset.json").is_file()


def find(root: Path) -> Listing:
    """The training and test cases that ``dataset.json`` lists.

    Raises:
        UserError: the file cannot be read or lists no case.
    """
    source = root / "dataset.json"
    content = read_json(source)
    if not isinstance(content, dict) or not isinstance(content.get("training"), list):
        raise UserError(
            f'{source} has no list "training": give a Medical Segmentation Decathlon folder'
        )
    channels = {canonical(name): int(key) for key, name in content.get("modality", {}).items()}
    entries = [*content["training"], *content.get("test", [])]
    if not entries:
        raise UserError(f"{source} lists no case")
    cases = tuple(_case(root, entry, channels) for entry in entries)
    return Listing(source, cases, "msd_brats", tuple(channels))


def _case(root: Path, entry: Any, channels: Mapping[str, int]) -> Found:
    parts = entry if isinstance(entry, dict) else {"image": entry}
    images = parts["image"] if isinstance(parts["image"], list) else [parts["image"]]
    label = root / parts["label"] if parts.get("label") else None
    paths = [root / image for image in images]
    name = stem(label or paths[0])
    problems = {}
    if 1 < len(paths) != len(channels):
        problems[""] = (
            f"case {name} in {root / 'dataset.json'} has {len(paths)} images for "
            f"{len(channels)} modalities: list one a modality"
        )
        paths = paths[:1]
    files: dict[str, Image] = {
        modality: (paths[channel], None)
        if len(paths) > 1
        else (paths[0], channel if len(channels) > 1 else None)
        for modality, channel in channels.items()
    }
    return Found(name, files | ({"label": (label, None)} if label else {}), problems)
