"""Medical Segmentation Decathlon (MSD): ``dataset.json`` lists files of one or four dimensions."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.data.conventions import named_convention
from pipeline.data.layouts.found import Found, Image, Listing, channel_names, read_json
from pipeline.data.volumes import stem
from pipeline.errors import UserError


def recognises(root: Path) -> bool:
    """Whether ``root`` holds a ``dataset.json``."""
    return (root / "dataset.json").is_file()


def find(root: Path) -> Listing:
    """The training and test cases that ``dataset.json`` lists.

    Raises:
        UserError: the file cannot be read, lists no case, or is not of the decathlon's form.
    """
    source = root / "dataset.json"
    content = read_json(source)
    parts = content if isinstance(content, dict) else {}
    training, test = parts.get("training"), parts.get("test") or []
    if not isinstance(training, list) or not isinstance(test, list):
        raise UserError(
            f'{source} has no list "training": give a Medical Segmentation Decathlon folder'
        )
    named = channel_names(source, "modality", parts.get("modality") or {})
    channels = {named[number]: place for place, number in enumerate(sorted(named))}
    entries = [*training, *test]
    if not entries:
        raise UserError(f"{source} lists no case: fill in its training")
    cases = tuple(_case(root, source, entry, channels) for entry in entries)
    return Listing(source, cases, _convention(parts.get("labels")), tuple(channels))


def _convention(labels: Any) -> str | None:
    """The one that names of labels by value tell; that of the decathlon where there are none."""
    if not isinstance(labels, dict) or not labels:
        return "msd_brats"
    return named_convention(labels)


def _case(root: Path, source: Path, entry: Any, channels: Mapping[str, int]) -> Found:
    images, labelled = _files(source, entry)
    label = root / labelled if labelled else None
    paths = [root / image for image in images]
    name = stem(label or paths[0])
    problems = {}
    if 1 < len(paths) != len(channels):
        problems[""] = (
            f"case {name} in {source} has {len(paths)} images for "
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


def _files(source: Path, entry: Any) -> tuple[list[str], str | None]:
    """The images of an entry, and its label where it has one."""
    parts: Mapping[str, Any] = entry if isinstance(entry, dict) else {"image": entry}
    images, label = parts.get("image"), parts.get("label")
    listed: list[Any] = images if isinstance(images, list) else [images]
    if not listed or not all(isinstance(path, str) and path for path in (*listed, label or "none")):
        raise UserError(
            f"{source} has the entry {json.dumps(entry, ensure_ascii=False)}: write "
            '{"image": "imagesTr/case.nii.gz", "label": "labelsTr/case.nii.gz"}'
        )
    return listed, label
