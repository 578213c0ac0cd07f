"""Which cases train and which validate, alike for all bundles."""

from collections.abc import Collection, Mapping
from pathlib import Path

from pipeline.data.splits import Split
from pipeline.errors import UserError

PARTS = 5
"""Of the cases, one of which validates where neither folds nor a split is asked for."""


def folds(subjects: Mapping[str, str], count: int | None, split: Path | None) -> list[Split]:
    """The splits that every bundle is trained on.

    Of K folds the first validates the subjects 0, K, 2 K and so on in the order of their names, the
    second the subjects 1, K + 1 and so on. Without a number there is one: every fifth validates.

    Args:
        subjects: of the labelled cases, by the case; a case may be a subject of its own.
        count: number of folds; None for one.
        split: JSON file ``{"train": [case, ...], "validation": [case, ...]}`` in place of folds.

    Raises:
        UserError: both are asked for, there are too few subjects or folds, or the file is no split.
    """
    if split is not None:
        if count is not None:
            raise UserError("--folds and --split cannot be both: leave one of the two out")
        given = Split.read(split, list(subjects))
        given.check_trains()
        return [given]
    ordered = sorted(set(subjects.values()))
    if len(ordered) < 2:
        raise UserError(
            "labelled cases of one subject cannot be split: give two subjects or more, or "
            "--split FILE"
        )
    parts = min(PARTS, len(ordered)) if count is None else count
    if not 2 <= parts <= len(ordered):
        raise UserError(
            f"labelled cases of {len(ordered)} subjects cannot be split in {parts} folds: take 2 "
            f"to {len(ordered)}, or give --split FILE"
        )
    return [_fold(subjects, set(ordered[index::parts])) for index in range(parts if count else 1)]


def _fold(subjects: Mapping[str, str], validating: Collection[str]) -> Split:
    names = sorted(subjects)
    return Split(
        tuple(name for name in names if subjects[name] not in validating),
        tuple(name for name in names if subjects[name] in validating),
    )
