"""Write predictions by the name of their case."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from os.path import realpath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bundles import RECORD
from pipeline.data.cases import Case
from pipeline.data.pixels import is_image
from pipeline.data.volumes import stem, write_volume
from pipeline.errors import UserError
from pipeline.inference.codes import THRESHOLD, coded, painted
from pipeline.tasks import Task


def prediction_path(output_dir: Path, case: str, image: Path) -> Path:
    """Where the prediction of ``case`` is written: a 2D image for 2D images, else a volume."""
    return output_dir / f"{case}{'.png' if is_image(image) else '.nii.gz'}"


def recorded(output_dir: Path, task: Task, convention: str) -> dict[str, Any]:
    """What is recorded beside the predictions; at least "task" and "labels", their convention.

    Raises:
        UserError: the record is damaged, or of another task or convention.
    """
    path = output_dir / RECORD
    own: dict[str, Any] = json.loads(json.dumps({"task": asdict(task), "labels": convention}))
    if not path.is_file():
        return own
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        there = {key: content[key] for key in own}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: remove it, or choose another output") from error
    if there != own:
        raise UserError(
            f"{output_dir} holds predictions of another task or label convention: "
            "choose another output"
        )
    return content


def check_apart(cases: Iterable[Case], output_dir: Path, labels: Iterable[Path] = ()) -> None:
    """Refuse a folder in which a prediction would replace an image or label of a case.

    Args:
        cases: to be segmented.
        output_dir: the folder.
        labels: of the cases, where they do not tell theirs.

    Raises:
        UserError: naming the case.
    """
    cases = list(cases)
    files = {realpath(path) for case in cases for path, _ in case.images}
    files |= {realpath(case.label) for case in cases if case.label is not None}
    files |= set(map(realpath, labels))
    for case in cases:
        path = prediction_path(output_dir.absolute(), case.name, case.images[0][0])
        if realpath(path) in files:
            raise UserError(
                f"{output_dir} holds the images or labels of cases, and the prediction of "
                f"{case.name} would replace one: choose another output"
            )


def write_prediction(path: Path, like: Any, targets: Any, task: Task, convention: str) -> None:
    """Write binary ``targets`` (targets, *input) as a label file on the grid of ``like``, a header.

    Raises:
        UserError: the folder cannot be written.
    """
    channels = np.asarray(targets, np.float32)
    if task.classes:
        background = np.full_like(channels[:1], THRESHOLD)
        channels = np.concatenate([background, channels])
    labels = painted(coded(channels, task), task, convention)
    write_volume(path, labels * brightness(path, task), like)


def brightness(path: Path, task: Task) -> int:
    """By what labels are multiplied: in a 2D image of two classes the one is 255, to be seen."""
    return 255 if is_image(path) and len(task.classes) == 2 else 1


def probability_path(path: Path, name: str) -> Path:
    """Where the probability of the region or class ``name`` lies beside the prediction ``path``."""
    suffix = ".tif" if is_image(path) else ".nii.gz"
    return path.parent / "probabilities" / f"{stem(path)}_{name.replace('/', '-')}{suffix}"


def alignment_path(path: Path) -> Path:
    """Where the report of an alignment lies beside the prediction ``path``."""
    return path.parent / "alignment" / f"{stem(path)}.json"


def volumes_ml(
    counts: NDArray[np.int64], header: Any, task: Task, convention: str
) -> dict[str, float]:
    """The millilitres of each target.

    Args:
        counts: voxels of each value in a label map of ``convention``.
        header: of its file.
        task: names the targets.
        convention: of the values.
    """
    voxel_ml = abs(np.linalg.det(header.get_best_affine()[:3, :3])) / 1000
    return {
        name: round(sum(int(counts[value]) for value in values) * voxel_ml, 4)
        for name, values in task.target_values(convention).items()
    }
