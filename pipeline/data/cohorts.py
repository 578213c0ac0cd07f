"""Which files are which case and which modality.

Modalities are found by name, never by position. Layouts: a Medical Segmentation Decathlon (MSD)
folder with ``dataset.json``; BraTS folders of 2017-2021 (``_flair _t1 _t1ce _t2 _seg``) and of 2023
onwards (``-t2f -t1n -t1c -t2w -seg``); a plain folder of case folders (``case/flair.nii.gz``).
"""

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.data.volumes import is_volume, stem
from pipeline.errors import UserError
from pipeline.tasks import Task

ALIASES: dict[str, tuple[str, ...]] = {
    "flair": ("flair", "t2f", "t2flair"),
    "t1": ("t1", "t1n", "t1w"),
    "t1c": ("t1c", "t1ce", "t1gd", "t1post", "t1wce"),
    "t2": ("t2", "t2w"),
    "label": ("seg", "label", "labels", "segmentation"),
}
"""The usual names of a modality at the end of a file name, by canonical name."""

_CANONICAL = {alias: name for name, aliases in ALIASES.items() for alias in aliases}
_BRATS2018_NAMES, _BRATS2023_NAMES = {"_flair", "_t1ce"}, {"-t2f", "-t1n"}


@dataclass(frozen=True)
class Case:
    """One subject's files.

    Args:
        name: names the outputs.
        images: path, and channel in a file of several or None, in the order of the task.
        label: where there is one.
    """

    name: str
    images: tuple[tuple[Path, int | None], ...]
    label: Path | None = None


@dataclass(frozen=True)
class Cohort:
    """The cases under one folder.

    Args:
        root: the folder.
        convention: of the label files' values, where the layout tells it, else None.
        cases: in the order of their names.
        refused: a sentence for each case that lacks something, by name.
    """

    root: Path
    convention: str | None
    cases: tuple[Case, ...]
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def labelled(self) -> dict[str, Case]:
        """The cases that have a label, by name."""
        return {case.name: case for case in self.cases if case.label is not None}


def canonical(modality: str) -> str:
    """The canonical name of a modality; an unknown one is itself in lower case.

    Examples:
        >>> canonical("T1CE"), canonical("t1-post"), canonical("MRI")
        ('t1c', 't1c', 'mri')
    """
    name = re.sub(r"[^a-z0-9]", "", modality.lower())
    return _CANONICAL.get(name, name)


def find_cohort(root: Path, task: Task) -> Cohort:
    """Find the cases of ``task`` under ``root``, which may also be the folder of a single case.

    Raises:
        UserError: the folder does not exist or holds no case.
    """
    if not root.is_dir():
        raise UserError(f"no folder {root}: give the folder of the cases")
    root = root.absolute()
    if (root / "dataset.json").is_file():
        return _msd_cohort(root, task)
    found = list(_case_files(root))
    cases, refused = [], {}
    wanted = {canonical(modality) for modality in task.modalities}
    for name, files in _uniquely_named([case for case in found if wanted & case[1].keys()], root):
        missing = [modality for modality in task.modalities if canonical(modality) not in files]
        if missing:
            refused[name] = _missing(name, missing[0], root)
        else:
            images = tuple((files[canonical(modality)], None) for modality in task.modalities)
            cases.append(Case(name, images, files.get("label")))
    if not cases and not refused:
        raise UserError(
            f"no case under {root}: expected case folders with files such as "
            f"case/case_{task.modalities[0]}.nii.gz, or dataset.json"
        )
    convention = _convention(files for _, files in found)
    if task.classes:
        convention = "classes"
    return Cohort(root, convention, tuple(cases), refused)


def single_case(files: Mapping[str, Path], task: Task) -> Case:
    """The case of one file a modality, named by modality.

    Raises:
        UserError: a modality is missing, or one is not of the task.
    """
    known = {canonical(modality): path for modality, path in files.items()}
    wanted = [canonical(modality) for modality in task.modalities]
    for modality in known:
        if modality not in wanted:
            raise UserError(f"{modality} is no modality of the task: it takes {', '.join(wanted)}")
    for modality in wanted:
        if modality not in known:
            raise UserError(f"no {modality} image given: add {modality}=FILE")
    first = known[wanted[0]]
    name = re.sub(
        rf"[_-]?({'|'.join(_names_of(wanted[0]))})$", "", stem(first), flags=re.IGNORECASE
    )
    return Case(
        name or first.absolute().parent.name, tuple((known[modality], None) for modality in wanted)
    )


def written_convention(task: Task, cohort: Cohort, asked: str | None) -> str:
    """The convention to write: what is asked for, else the layout's, else the task's newest."""
    chosen = asked or cohort.convention or ("classes" if task.classes else "brats2023")
    task.values(chosen)
    return chosen


def find_labels(root: Path) -> tuple[dict[str, Path], str | None]:
    """The label files under ``root`` by case, and their convention where the layout tells it.

    A folder without label names or ``dataset.json`` is taken as one ``<case>.nii.gz`` a case.

    Raises:
        UserError: the folder does not exist or holds no label.
    """
    if not root.is_dir():
        raise UserError(f"no folder {root}: give the folder of the references")
    root = root.absolute()
    convention = None
    if (root / "dataset.json").is_file():
        entries = _msd_entries(root, _msd_content(root))
        labels = {name: label for name, _, label in entries if label is not None}
        convention = "msd_brats"
    else:
        found = list(_case_files(root))
        labels = {
            name: files["label"] for name, files in _uniquely_named(found, root) if "label" in files
        }
        convention = _convention(files for _, files in found)
    if not labels:
        labels = {stem(path): path for path in sorted(root.iterdir()) if is_volume(path)}
    if not labels:
        raise UserError(f"no label under {root}: expected files such as case/case_seg.nii.gz")
    return labels, convention


def _case_files(root: Path) -> Iterator[tuple[Path, dict[str, Path]]]:
    """Each case's folder (or folder and common prefix) and its files by canonical modality."""
    for folder, paths in _folders_of_volumes(root):
        groups: dict[str, dict[str, Path]] = defaultdict(dict)
        modalities = [_split_name(path)[1] for path in paths]
        alone = len(set(modalities)) == len(modalities)
        for path in paths:
            prefix, modality = _split_name(path)
            groups["" if alone else prefix][modality] = path
        for prefix, files in groups.items():
            yield folder / prefix, files


def _folders_of_volumes(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Each folder below ``root`` that holds volumes, links followed once, hidden ones left out."""
    seen: set[str] = set()
    for name, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(name)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
        paths = [Path(name, file) for file in sorted(files) if is_volume(Path(file))]
        if paths:
            yield Path(name), paths


def _split_name(path: Path) -> tuple[str, str]:
    """What stands before the modality in a file name, and the canonical modality."""
    prefix, _, last = stem(path).replace("-", "_").rpartition("_")
    return stem(path)[: len(prefix)], canonical(last)


def _uniquely_named(
    found: Iterable[tuple[Path, dict[str, Path]]], root: Path
) -> Iterator[tuple[str, dict[str, Path]]]:
    """Each case's files by the name of its folder, or by all folders below ``root`` if it must."""
    by_name: dict[str, list[tuple[Path, dict[str, Path]]]] = defaultdict(list)
    for folder, files in found:
        by_name[folder.name].append((folder, files))
    for name, namesakes in sorted(by_name.items()):
        for folder, files in namesakes:
            path = "_".join(folder.relative_to(root).parts)
            yield (name if len(namesakes) == 1 else path or name), files


def _convention(cases: Iterable[dict[str, Path]]) -> str | None:
    endings = {
        stem(path)[-len(ending) :].lower()
        for files in cases
        for path in files.values()
        for ending in _BRATS2018_NAMES | _BRATS2023_NAMES
        if stem(path).lower().endswith(ending)
    }
    if endings and endings <= _BRATS2018_NAMES:
        return "brats2018"
    if endings and endings <= _BRATS2023_NAMES:
        return "brats2023"
    return None


def _names_of(modality: str) -> tuple[str, ...]:
    return ALIASES.get(modality, (modality,))


def _missing(case: str, modality: str, where: Path) -> str:
    names = ", ".join(_names_of(canonical(modality)))
    return f"case {case} under {where} has no {modality} image (known names: {names}): add the file"


def _msd_content(root: Path) -> dict[str, Any]:
    path = root / "dataset.json"
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path} ({error}): repair it") from error
    if not isinstance(content, dict) or not isinstance(content.get("training"), list):
        raise UserError(
            f'{path} has no list "training": give a Medical Segmentation Decathlon folder'
        )
    return content


def _msd_entries(
    root: Path, content: dict[str, Any]
) -> Iterator[tuple[str, list[Path], Path | None]]:
    for entry in [*content["training"], *content.get("test", [])]:
        parts = entry if isinstance(entry, dict) else {"image": entry}
        images = parts["image"] if isinstance(parts["image"], list) else [parts["image"]]
        label = root / parts["label"] if parts.get("label") else None
        paths = [root / image for image in images]
        yield stem(label or paths[0]), paths, label


def _msd_cohort(root: Path, task: Task) -> Cohort:
    content = _msd_content(root)
    channels = {canonical(name): int(key) for key, name in content.get("modality", {}).items()}
    for modality in task.modalities:
        if canonical(modality) not in channels:
            listed = ", ".join(channels)
            raise UserError(
                f"{root / 'dataset.json'} has no modality {modality}: it lists {listed}"
            )
    wanted = [channels[canonical(modality)] for modality in task.modalities]
    cases, refused = [], {}
    for name, paths, label in _msd_entries(root, content):
        images: tuple[tuple[Path, int | None], ...]
        if 1 < len(paths) != len(channels):
            refused[name] = (
                f"case {name} in {root / 'dataset.json'} has {len(paths)} images for "
                f"{len(channels)} modalities: list one a modality"
            )
            continue
        if len(paths) > 1:
            images = tuple((paths[channel], None) for channel in wanted)
        else:
            several = len(channels) > 1
            images = tuple((paths[0], channel if several else None) for channel in wanted)
        cases.append(Case(name, images, label))
    if not cases and not refused:
        raise UserError(f"{root / 'dataset.json'} lists no case")
    convention = "classes" if task.classes else "msd_brats"
    return Cohort(root, convention, tuple(sorted(cases, key=lambda case: case.name)), refused)
