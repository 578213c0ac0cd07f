"""A CSV or JSON file that lists the cases: ``case``, a column a modality, ``label``."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.data.layouts.found import Found, Image, Listing, read_json
from pipeline.data.modalities import canonical
from pipeline.errors import UserError

_NAMES = ("cases.csv", "cases.json")


def recognises(root: Path) -> bool:
    """Whether ``root`` is such a file, or holds ``cases.csv`` or ``cases.json``."""
    return _file(root) is not None


def find(root: Path) -> Listing:
    """The cases that the file lists; paths are relative to its folder.

    Raises:
        UserError: there is no such file, it cannot be read, or a row names no case.
    """
    source = _file(root)
    if source is None:
        raise UserError(f"no {' or '.join(_NAMES)} in {root}: give the file that lists the cases")
    rows = _csv_rows(source) if source.suffix.lower() == ".csv" else _json_rows(source)
    names = [str(row.get("case") or "").strip() for row in rows]
    seen: set[str] = set()
    for number, name in enumerate(names, start=1):
        if not name or "/" in name:
            raise UserError(f"entry {number} of {source} names no case: fill in its case")
        if name in seen:
            raise UserError(f"{source} lists the case {name} twice: keep one of the two")
        seen.add(name)
    cases = tuple(_case(source, name, row) for name, row in zip(names, rows, strict=True))
    declared = dict.fromkeys(canonical(key) for row in rows for key in row if key != "case")
    declared.pop("", None)
    return Listing(source, cases, None, tuple(key for key in declared if key != "label"))


def _file(root: Path) -> Path | None:
    if root.is_file():
        return root if root.suffix.lower() in (".csv", ".json") else None
    return next((root / name for name in _NAMES if (root / name).is_file()), None)


def _csv_rows(source: Path) -> list[Mapping[str, Any]]:
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            read = list(csv.DictReader(file, skipinitialspace=True))
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"cannot read {source} ({error}): repair it") from error
    for number, row in enumerate(read, start=1):
        if None in row:
            raise UserError(
                f"entry {number} of {source} has more fields than the first line names: correct it"
            )
    rows: list[Mapping[str, Any]] = [{key.strip(): row[key] for key in row} for row in read]
    if not rows:
        raise UserError(f"{source} lists no case: write a line of names, then a line a case")
    return rows


def _json_rows(source: Path) -> list[Mapping[str, Any]]:
    rows = read_json(source)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise UserError(
            f'{source} is no list of cases: write [{{"case": "a", "flair": "a_flair.nii.gz"}}]'
        )
    return rows


def _case(source: Path, name: str, row: Mapping[str, Any]) -> Found:
    files: dict[str, Image] = {}
    columns: dict[str, str] = {}
    problems = {}
    doubled = set()
    for key, value in row.items():
        modality = canonical(key)
        if key == "case" or not value or not modality:  # such as a column of numbers
            continue
        path = source.parent / str(value).strip()
        other, _ = files.setdefault(modality, (path, None))
        if other != path:
            doubled.add(modality)
            problems[modality] = (
                f"case {name} in {source} has {modality} in two columns, {columns[modality]} and "
                f"{key}: keep one"
            )
            continue
        columns[modality] = key
        if not path.exists():
            problems[modality] = f"case {name} in {source} has no file {path}: correct {key}"
    return Found(name, files, problems, meant=True, ambiguous="label" in doubled)
