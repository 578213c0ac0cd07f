"""Write predictions by the name of their case."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from torch import Tensor

from pipeline.bundles import RECORD
from pipeline.data.cohorts import Cohort
from pipeline.data.pixels import is_image
from pipeline.data.volumes import read_header, stem, write_volume
from pipeline.errors import UserError
from pipeline.files import write_json
from pipeline.tasks import Task
from pipeline.transforms import paint


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


def write_record(output_dir: Path, task: Task, convention: str) -> None:
    """Write beside the predictions what they are, so that they can be scored.

    Raises:
        UserError: the folder cannot be written, or holds predictions of another task or convention.
    """
    write_json(output_dir / RECORD, recorded(output_dir, task, convention))


def write_prediction(path: Path, like: Any, targets: Tensor, task: Task, convention: str) -> None:
    """Write binary ``targets`` (targets, *input) as a label file on the grid of ``like``, a header.

    Raises:
        UserError: the folder cannot be written.
    """
    write_labels(path, like, paint(targets, task, convention), task)


def write_labels(path: Path, like: Any, labels: Tensor, task: Task) -> None:
    """Write a label map (*input) on the grid of ``like``, a header.

    In a 2D image of a task of two classes the class is 255, so that one sees it.

    Raises:
        UserError: the folder cannot be written.
    """
    if is_image(path) and len(task.classes) == 2:
        labels = labels * 255
    write_volume(path, labels.cpu().numpy(), like)


def write_probabilities(path: Path, like: Any, probabilities: Tensor, task: Task) -> None:
    """Write one float32 volume or TIFF a region or class beside the prediction at ``path``.

    They are named ``probabilities/<case>_<name>.nii.gz``, or ``.tif`` for a 2D image.
    """
    suffix = ".tif" if is_image(path) else ".nii.gz"
    for name, channel in zip(task.regions or task.classes, probabilities, strict=True):
        file = path.parent / "probabilities" / f"{stem(path)}_{name}{suffix}"
        write_volume(file, channel.cpu().numpy().astype(np.float32), like)


def volumes_ml(labels: Tensor, header: Any, task: Task, convention: str) -> dict[str, float]:
    """The millilitres of each target in a label map (H, W, D) of ``convention``."""
    voxel_ml = abs(np.linalg.det(header.get_best_affine()[:3, :3])) / 1000
    counts = torch.bincount(labels.flatten(), minlength=256)
    return {
        name: round(sum(int(counts[value]) for value in values) * voxel_ml, 4)
        for name, values in task.target_values(convention).items()
    }


class SavePredictions:
    """Write each case that an evaluator has segmented.

    Args:
        task: see ``pipeline.tasks.Task``.
        cohort: its convention is that of the files.
        output_dir: the folder of the files.
    """

    def __init__(self, task: Mapping[str, Any] | Task, cohort: Cohort, output_dir: str) -> None:
        self.task = Task.of(task)
        self.convention = cohort.convention or ""
        self.output_dir = Path(output_dir)

    def attach(self, engine: Engine) -> None:
        """Listen to the evaluator."""
        engine.add_event_handler(Events.STARTED, self.begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def begin(self, engine: Engine) -> None:
        """Write beside the predictions what they are, and no more: all cases are made again."""
        known = recorded(self.output_dir, self.task, self.convention)
        record = {key: known[key] for key in ("task", "labels")}
        write_json(self.output_dir / RECORD, record)

    def __call__(self, engine: Engine) -> None:
        """Write the cases of this iteration."""
        for sample, output in zip(engine.state.batch, engine.state.output, strict=True):
            source = Path(sample["source"])
            write_prediction(
                prediction_path(self.output_dir, sample["case"], source),
                read_header(source),
                output["pred"],
                self.task,
                self.convention,
            )
