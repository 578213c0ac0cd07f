"""What is true of each voxel as one number, from probabilities to label values.

Of a task of regions, bit ``i`` says whether the voxel is in region ``i``; of classes, the code is
the number of the class. A volume of codes takes one byte a voxel, however many targets there are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.pieces import largest_piece
from pipeline.tasks import PAINT_ORDER, Task

THRESHOLD = 0.5
"""A voxel of at least this probability is in a region."""

Codes = NDArray[np.uint8]


@dataclass(frozen=True)
class Rules:
    """What is removed from a prediction; see ``pipeline.transforms.Restore``.

    Args:
        smallest: voxels that a target needs to be kept, by target; smaller totals become empty.
        largest: the target of which only the largest connected piece (26 neighbours) is kept, and
            of overlapping regions what lies in it; None keeps everything.
    """

    smallest: Mapping[str, int] = field(default_factory=dict)
    largest: str | None = None


def coded(probabilities: NDArray[np.float32], task: Task) -> Codes:
    """The codes (*S) of probabilities (out_channels, *S)."""
    if task.classes:
        return probabilities.argmax(axis=0).astype(np.uint8)
    codes = np.zeros(probabilities.shape[1:], np.uint8)
    for bit, region in enumerate(probabilities):
        codes |= (region >= THRESHOLD).astype(np.uint8) << np.uint8(bit)
    return codes


def cleaned(codes: Codes, task: Task, rules: Rules) -> Codes:
    """``codes`` (*S) after ``rules``."""
    if rules.largest is not None:
        target = _mask(codes, task, rules.largest)
        removed = (codes != 0 if task.regions else target) & ~largest_piece(target)
        codes = np.where(removed, np.uint8(0), codes)
    for name, needed in rules.smallest.items():
        target = _mask(codes, task, name)
        if np.count_nonzero(target) < needed:
            codes = codes & ~_bit(task, name) if task.regions else np.where(target, 0, codes)
    return codes.astype(np.uint8, copy=False)


def painted(codes: Codes, task: Task, convention: str) -> Codes:
    """The label map (*S) in the values of ``convention``.

    Regions are painted WT, then TC, then ET, so that the file's nesting holds by construction.
    """
    values = task.values(convention)
    table = np.zeros(256, np.uint8)
    if task.classes:
        table[: len(task.classes)] = [values[name] for name in task.classes]
        return table[codes]
    every = np.arange(256, dtype=np.uint8)
    for region, tissue in PAINT_ORDER:
        if region in task.regions:
            table[_mask(every, task, region)] = values[tissue]
    return table[codes]


def _mask(codes: Codes, task: Task, target: str) -> NDArray[np.bool_]:
    if task.classes:
        return codes == task.classes.index(target)
    return (codes & _bit(task, target)) != 0


def _bit(task: Task, region: str) -> np.uint8:
    return np.uint8(1 << task.regions.index(region))
