"""Files found by a pattern such as ``{case}/{case}_{modality}.nii.gz``."""

import re
from collections import defaultdict
from pathlib import Path

from pipeline.data.layouts.found import Listing, gathered, unlisted, walked
from pipeline.data.modalities import canonical
from pipeline.errors import UserError


def find(root: Path, pattern: str) -> Listing:
    """The cases whose files lie at ``pattern``, relative to ``root``.

    Args:
        root: the folder.
        pattern: ``{case}`` and ``{modality}`` stand for themselves, ``*`` for anything but ``/``.

    Raises:
        UserError: ``pattern`` lacks ``{case}`` or ``{modality}``.
    """
    expression = _expression(pattern)
    cases: dict[str, list[tuple[str, Path]]] = defaultdict(list)
    closed: list[OSError] = []
    for folder, files in walked(root, closed.append):
        for file in files:
            path = folder / file
            match = expression.fullmatch(path.relative_to(root).as_posix())
            if match:
                cases[match["case"]].append((canonical(match["modality"]), path))
    found = [gathered(name, files) for name, files in cases.items()]
    return Listing(root, (*found, *(unlisted(root, error) for error in closed)))


def _expression(pattern: str) -> re.Pattern[str]:
    for field in ("{case}", "{modality}"):
        if field not in pattern:
            raise UserError(
                f"the layout pattern:{pattern} has no {field}: "
                "write one such as pattern:{case}_{modality}.nii.gz"
            )
    groups = {"{case}": "(?P<case>[^/]+)", "{modality}": "(?P<modality>[^/]+)", "*": "[^/]*"}
    expression = ""
    for part in re.split(r"(\{case\}|\{modality\}|\*)", pattern):
        expression += groups.get(part, re.escape(part))
        if part.startswith("{"):
            groups[part] = f"(?P={part[1:-1]})"  # a second one must be equal to the first
    return re.compile(expression)
