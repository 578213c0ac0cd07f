"""Which cases train and which validate, alike for all bundles."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.data.splits import Split
from pipeline.errors import UserError

PARTS = 5
"""Of the cases, one of which validates where neither folds nor a split is asked for."""


def folds(names: Sequence[str], count: int | None, split: Path | None) -> list[Split]:
    """The splits that every bundle is trained on.

    Of K folds the first validates the cases 0, K, 2 K and so on of the sorted names, the second the
    cases 1, K + 1 and so on. Without a number there is one: every fifth case validates.

    Args:
        names: of the labelled cases.
        count: number of folds; None for one.
        split: JSON file ``{"train": [case, ...], "validation": [case, ...]}`` in place of folds.

    Raises:
        UserError: both are asked for, there are too few cases or folds, or the file is no split.
    """
    if split is not None:
        if count is not None:
            raise UserError("--folds and --split cannot be both: leave one of the two out")
        return [Split.read(split, names)]
    parts = count or min(PARTS, len(names))
    if not 2 <= parts <= len(names):
        raise UserError(
            f"{len(names)} labelled cases cannot be split in {parts} folds: take 2 to "
            f"{len(names)}, or give --split FILE"
        )
    ordered = sorted(names)
    return [_fold(ordered, parts, index) for index in range(parts if count else 1)]


def _fold(ordered: Sequence[str], parts: int, index: int) -> Split:
    validation = tuple(ordered[index::parts])
    return Split(tuple(name for name in ordered if name not in validation), validation)
