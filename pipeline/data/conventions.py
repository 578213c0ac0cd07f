"""Which convention the values of label files follow, told by the values or by their names."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.cases import Cohort
from pipeline.data.labels import read_labels
from pipeline.errors import UserError
from pipeline.tasks import CONVENTIONS, Task


def settled(cohort: Cohort, task: Task, asked: str | None = None) -> Cohort:
    """``cohort`` with the convention of its labels, and a note on how it is known.

    What is asked for holds, then what the layout tells. Only where both are silent are the values
    of all labels read, which costs as much as loading the labels once; otherwise a value that
    contradicts the convention is found where ``pipeline.data.labels.read_labels`` reads the file.

    Raises:
        UserError: the convention is not one of the task's, or the values do not tell it.
    """
    convention = asked or cohort.convention
    how = "as asked" if asked else f"told by the layout {cohort.layout}"
    if convention is None:
        labels = [case.label for case in cohort.labelled.values() if case.label is not None]
        convention, how = told_by_values(labels, task, cohort.root), "told by their values"
    task.values(convention)
    note = f"labels follow {convention}, {how}"
    return replace(cohort, convention=convention, notes=(*cohort.notes, note))


def told_by_values(
    labels: Iterable[Path], task: Task, where: Path, each_its_own: bool = False
) -> str:
    """The one convention that has all values of the cohort's ``labels``.

    Args:
        labels: the label files of the whole cohort.
        task: whose conventions are weighed.
        where: names the cohort in a sentence.
        each_its_own: whether a label that cannot be used says nothing, and fails later as a case.

    Raises:
        UserError: several conventions have the values, or none has, or a label cannot be read; it
            is never guessed.
    """
    if len(task.conventions) == 1:
        return task.conventions[0]
    values = {0.0}
    unusable: list[UserError] = []
    for label in labels:
        try:
            found = _values(read_labels(label, task, None).array)
        except UserError as error:
            if not each_its_own:
                raise
            unusable.append(error)
            continue
        values |= found
        if not _fitting(values, task):
            raise UserError(
                f"{label} makes the label values under {where} {_written(values)}, which no "
                f"convention has ({', '.join(task.conventions)}): repair the labels"
            )
    if unusable and values == {0.0}:
        raise unusable[0]
    fitting = _fitting(values, task)
    if len(fitting) > 1:
        raise UserError(
            f"the label values {_written(values)} under {where} follow an unknown convention: "
            f"set labels to one of {', '.join(fitting)} (--labels)"
        )
    return fitting[0]


def named_convention(labels: Any) -> str | None:
    """The convention in which ``labels`` of a ``dataset.json`` name the tissues, or None.

    They are names by value, as in the decathlon, or values by name, as nnU-Net writes them.

    Examples:
        >>> named_convention({"background": 0, "edema": 1, "necrosis": 2, "enhancing tumor": 3})
        'msd_brats'
        >>> named_convention({"whole tumor": [1, 2, 3], "tumor core": [1, 3], "enhancing": [3]})
        'brats2023'
        >>> named_convention({"0": "background", "1": "edema", "2": "core", "3": "enhancing"})
        'msd_brats'
    """
    if not isinstance(labels, Mapping):
        return None
    by_name = {str(name): int(value) for value, name in labels.items() if str(value).isdigit()}
    labels = by_name or labels
    values = {_tissue(name): _numbers(value) for name, value in labels.items()}
    oedema = values.get("oedema") or values.get("whole", set()) - values.get("core", set())
    enhancing = values.get("enhancing", set())
    fitting = [
        name
        for name, convention in CONVENTIONS.items()
        if oedema == {convention["oedema"]} and enhancing == {convention["enhancing"]}
    ]
    return fitting[0] if fitting else None


def _values(array: NDArray[Any]) -> set[float]:
    if array.dtype.kind == "u" and array.dtype.itemsize == 1:
        return {float(value) for value in np.flatnonzero(np.bincount(array.ravel()))}
    return {float(value) for value in np.unique(array)}


def _fitting(values: set[float], task: Task) -> list[str]:
    return [name for name in task.conventions if values <= {0, *task.values(name).values()}]


def _written(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in sorted(values))


def _tissue(name: str) -> str:
    words = {"dema": "oedema", "non": "core", "enh": "enhancing", "whole": "whole", "core": "core"}
    return next((tissue for word, tissue in words.items() if word in name.lower()), name)


def _numbers(value: Any) -> set[int]:
    """The values of a label: nnU-Net writes name to value or list of values."""
    items = value if isinstance(value, list) else [value]
    return {item for item in items if isinstance(item, int)}
