"""Write predictions by the name of their case."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from torch import Tensor

from pipeline.bundles import RECORD
from pipeline.data.cohorts import Cohort
from pipeline.data.volumes import read_header, write_volume
from pipeline.errors import UserError
from pipeline.files import write_json
from pipeline.tasks import Task
from pipeline.transforms import paint


def prediction_path(output_dir: Path, case: str) -> Path:
    """Where the prediction of ``case`` is written."""
    return output_dir / f"{case}.nii.gz"


def write_record(output_dir: Path, task: Task, convention: str) -> None:
    """Write beside the predictions what they are, so that they can be scored.

    Raises:
        UserError: the folder cannot be written, or holds predictions of another task or convention.
    """
    path = output_dir / RECORD
    content = {"task": asdict(task), "labels": convention}
    if path.is_file() and json.loads(path.read_text()) != json.loads(json.dumps(content)):
        raise UserError(
            f"{output_dir} holds predictions of another task or label convention: "
            "choose another output"
        )
    write_json(path, content)


def write_prediction(
    output_dir: Path, case: str, like: Any, targets: Tensor, task: Task, convention: str
) -> Path:
    """Write binary ``targets`` (targets, *input) as a label file on the grid of ``like``, a header.

    Raises:
        UserError: the folder cannot be written.
    """
    path = prediction_path(output_dir, case)
    write_volume(path, paint(targets, task, convention).cpu().numpy(), like)
    return path


def write_probabilities(
    output_dir: Path, case: str, like: Any, probabilities: Tensor, task: Task
) -> None:
    """Write one float32 volume a region or class: ``probabilities/<case>_<name>.nii.gz``."""
    for name, channel in zip(task.regions or task.classes, probabilities, strict=True):
        path = output_dir / "probabilities" / f"{case}_{name}.nii.gz"
        write_volume(path, channel.cpu().numpy().astype(np.float32), like)


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
        """Write beside the predictions what they are."""
        write_record(self.output_dir, self.task, self.convention)

    def __call__(self, engine: Engine) -> None:
        """Write the cases of this iteration."""
        for sample, output in zip(engine.state.batch, engine.state.output, strict=True):
            write_prediction(
                self.output_dir,
                sample["case"],
                read_header(Path(sample["source"])),
                output["pred"],
                self.task,
                self.convention,
            )
