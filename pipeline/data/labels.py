"""Read label files by the convention of their values."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.findings import refusal
from pipeline.data.pixels import is_image
from pipeline.data.volumes import Volume, read_volume
from pipeline.tasks import Task


def read_labels(path: Path, task: Task, convention: str | None, option: str = "--labels") -> Volume:
    """A label map (H, W, D) of whole numbers that ``convention`` (or None: any of ``task``) knows.

    In a 2D image of a task of two classes, 255 is the class as 1 is, so that one sees it. The
    ``option`` is the one by which a user names another convention.

    Raises:
        UserError: the file cannot be read, has several channels, or holds an unknown value.
    """
    volume = read_volume(path)
    shape = volume.array.shape
    if any(size != 1 for size in shape[3:]):
        raise refusal("channels", path, f"has the shape {shape}", "give one (H, W, D) label file")
    array = volume.array.reshape(shape[:3])
    if is_image(path) and len(task.classes) == 2:
        array = _of_two_classes(array)
    conventions = task.conventions if convention is None else (convention,)
    known = {name: {0, *task.values(name).values()} for name in conventions}
    flat = array.reshape(-1, order="A")  # as it lies in memory, which is faster to go through
    values = np.unique(flat[flat != 0])  # few are not zero, and sorting is slow
    if not any(values_of.issuperset(values.tolist()) for values_of in known.values()):
        unknown = np.setdiff1d(values, sorted(set().union(*known.values())))
        found = unknown[:1] if unknown.size else values
        what = f"holds the label {_written(found)}, and " + " and ".join(
            f"the convention {name} has only {', '.join(map(str, sorted(values_of)))}"
            for name, values_of in known.items()
        )
        fix = f"repair the file, or name the convention that it follows ({option})"
        raise refusal("label-value", path, what, fix)
    return Volume(array.astype(np.uint8), volume.header)


def _written(values: NDArray[Any]) -> str:
    numbers = [f"{value:g}" if value % 1 == 0 else repr(float(value)) for value in values]
    return f"value{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"


def _of_two_classes(array: NDArray[Any]) -> NDArray[Any]:
    return array == 255 if np.isin(array, (0, 255)).all() else array
