"""What stands after --set and --images, as values."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import UserError

_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


def parse_overrides(items: Iterable[str]) -> dict[str, Any]:
    """The values by key of ``key=value`` items, values as in YAML.

    Raises:
        UserError: an item has no ``=``, or its value is no YAML.
    """
    overrides = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals:
            raise UserError(f"--set takes key=value, not {item!r}")
        try:
            overrides[key.strip()] = _with_numbers(yaml.safe_load(value))
        except yaml.YAMLError as error:
            raise UserError(f"the value of {key} in --set is no YAML: {value!r}") from error
    return overrides


def parse_files(items: Iterable[str]) -> Mapping[str, Path]:
    """The files by modality of ``modality=FILE`` items.

    Raises:
        UserError: an item is not of that form, or two are of one modality.
    """
    files: dict[str, Path] = {}
    for item in items:
        modality, _, file = item.partition("=")
        if not file:
            raise UserError(f"--images takes modality=FILE for each modality, not {modality!r}")
        if modality in files:
            raise UserError(f"--images names {modality} twice: keep one of them")
        files[modality] = Path(file)
    return files


def _with_numbers(value: Any) -> Any:
    """``value`` with floats where YAML 1.1 sees text, as in 1e-3."""
    if isinstance(value, Mapping):
        return {key: _with_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_numbers(inner) for inner in value]
    if isinstance(value, str) and _EXPONENT.fullmatch(value):
        return float(value)
    return value
