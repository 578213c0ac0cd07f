"""A folder a case, or a prefix a case: BraTS of all years, and plain ``case/flair.nii.gz``.

BraTS of 2017-2021 names its files ``_flair _t1 _t1ce _t2 _seg``, that of 2023 onwards
``-t2f -t1n -t1c -t2w -seg``; the names tell the convention of the label values.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain
from pathlib import Path

from pipeline.data.layouts.found import Listing, gathered, unlisted, walked
from pipeline.data.modalities import ALIASES, canonical
from pipeline.data.volumes import is_volume, stem

_BRATS2018_NAMES, _BRATS2023_NAMES = {"_flair", "_t1ce"}, {"-t2f", "-t1n"}

_Files = list[tuple[str, Path]]
"""Canonical modalities and their files."""

_OnError = Callable[[OSError], None]


def recognises(root: Path) -> bool:
    """Whether there is a NIfTI file below ``root``."""
    return root.is_dir() and next(_folders_of_volumes(root), None) is not None


def find(root: Path) -> Listing:
    """Every folder below ``root``, or every prefix in it, that holds NIfTI files."""
    closed: list[OSError] = []
    found = list(_case_files(root, closed.append))
    cases = [gathered(name, files) for name, files in _uniquely_named(found, root)]
    cases += [unlisted(root, error) for error in closed]
    return Listing(root, tuple(cases), _convention(files for _, files in found))


def _case_files(root: Path, on_error: _OnError) -> Iterator[tuple[Path, _Files]]:
    """Each case's folder (or folder and common prefix) and its files."""
    for folder, paths in _folders_of_volumes(root, on_error):
        groups: dict[str, _Files] = defaultdict(list)
        for path in paths:
            prefix, modality = _split_name(path)
            groups[prefix].append((modality, path))
        lone_label = folder == root and {key for key, _ in chain(*groups.values())} == {"label"}
        if not lone_label and _is_one_case(groups.values()):
            yield folder, [file for files in groups.values() for file in files]
        else:
            _join_labels(groups)
            yield from ((folder / prefix, files) for prefix, files in groups.items())


def _join_labels(groups: dict[str, _Files]) -> None:
    """Give a label that lies alone to the images without one whose prefix its own goes on from."""
    alone = [prefix for prefix, files in groups.items() if {key for key, _ in files} == {"label"}]
    images = [prefix for prefix in groups if prefix not in alone]
    without = [prefix for prefix in images if "label" not in dict(groups[prefix])]
    for prefix in alone:
        known = [other for other in images if _goes_on(prefix, other)]
        if len(known) == 1 and known[0] in without:
            groups[known[0]] += groups.pop(prefix)


def _goes_on(prefix: str, other: str) -> bool:
    """Whether ``prefix`` is ``other`` and a word, not the number of another case."""
    rest = prefix.removeprefix(other)
    return "" not in (other, rest) and rest != prefix and rest[0] in "_-. " and rest[1:2].isalpha()


def _is_one_case(groups: Collection[_Files]) -> bool:
    """Whether files grouped by prefix are of one case: no modality twice, nor prefixes with sets.

    Prefixes that have two known modalities each are cases, though none of these may be in both.
    """
    modalities = Counter(modality for files in groups for modality, _ in files)
    sets = [files for files in groups if len({key for key, _ in files} & ALIASES.keys()) > 1]
    return len(groups) == 1 or (max(modalities.values()) == 1 and len(sets) < 2)


def _folders_of_volumes(
    root: Path, on_error: _OnError | None = None
) -> Iterator[tuple[Path, list[Path]]]:
    """Each folder below ``root`` that holds volumes."""
    for folder, files in walked(root, on_error):
        paths = [folder / file for file in files if is_volume(Path(file))]
        if paths:
            yield folder, paths


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
        for _, path in files
        for ending in _BRATS2018_NAMES | _BRATS2023_NAMES
        if stem(path).lower().endswith(ending)
    }
    if endings and endings <= _BRATS2018_NAMES:
        return "brats2018"
    if endings and endings <= _BRATS2023_NAMES:
        return "brats2023"
    return None
