"""Read label files by the convention of their values."""

from pathlib import Path

import numpy as np

from pipeline.data.volumes import Volume, read_volume
from pipeline.errors import UserError
from pipeline.tasks import Task


def read_labels(path: Path, task: Task, convention: str) -> Volume:
    """A label map (H, W, D) of whole numbers that ``convention`` knows.

    Raises:
        UserError: the file cannot be read, has several channels, or holds an unknown value.
    """
    volume = read_volume(path)
    shape = volume.array.shape
    if any(size != 1 for size in shape[3:]):
        raise UserError(f"{path} has the shape {shape}: give one (H, W, D) label file")
    known = sorted({0, *task.values(convention).values()})
    unknown = np.setdiff1d(volume.array, known)
    if unknown.size:
        raise UserError(
            f"{path} holds the label value {unknown[0]:g}, and the convention {convention} has "
            f"only {', '.join(map(str, known))}: name the convention that the file follows"
        )
    return Volume(volume.array.reshape(shape[:3]).astype(np.uint8), volume.header)
