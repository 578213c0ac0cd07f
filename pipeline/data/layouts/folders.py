"""A folder a case, or a prefix a case: BraTS of all years, and plain ``case/flair.nii.gz``.

BraTS of 2017-2021 names its files ``_flair _t1 _t1ce _t2 _seg``, that of 2023 onwards
``-t2f -t1n -t1c -t2w -seg``; the names tell the convention of the label values.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.data.layouts.found import Found, Listing
from pipeline.data.modalities import canonical
from pipeline.data.volumes import is_volume, stem

_BRATS2018_NAMES, _BRATS2023_NAMES = {"_flair", "_t1ce"}, {"-t2f", "-t1n"}

_Files = dict[str, Path]


def recognises(root: Path) -> bool:
    """Whether there is a NIfTI file below ``root``."""
    return root.is_dir() and next(_folders_of_volumes(root), None) is not None


def find(root: Path) -> Listing:
    """Every folder below ``root``, or every prefix in it, that holds NIfTI files."""
    found = list(_case_files(root))
    cases = tuple(
        Found(name, {modality: (path, None) for modality, path in files.items()})
        for name, files in _uniquely_named(found, root)
    )
    return Listing(root, cases, _convention(files for _, files in found))


def _case_files(root: Path) -> Iterator[tuple[Path, _Files]]:
    """Each case's folder (or folder and common prefix) and its files by canonical modality."""
    for folder, paths in _folders_of_volumes(root):
        groups: dict[str, _Files] = defaultdict(dict)
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
    found: Iterable[tuple[Path, _Files]], root: Path
) -> Iterator[tuple[str, _Files]]:
    """Each case's files by the name of its folder, or by all folders below ``root`` if it must."""
    by_name: dict[str, list[tuple[Path, _Files]]] = defaultdict(list)
    for folder, files in found:
        by_name[folder.name].append((folder, files))
    for name, namesakes in sorted(by_name.items()):
        for folder, files in namesakes:
            path = "_".join(folder.relative_to(root).parts)
            yield (name if len(namesakes) == 1 else path or name), files


def _convention(cases: Iterable[_Files]) -> str | None:
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
