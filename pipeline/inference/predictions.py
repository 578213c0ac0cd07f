"""Write predictions by the name of their case."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from torch import Tensor

from pipeline.data.cohorts import Cohort
from pipeline.data.volumes import read_header, write_volume
from pipeline.tasks import Task
from pipeline.transforms import paint


def prediction_path(output_dir: Path, case: str) -> Path:
    """Where the prediction of ``case`` is written."""
    return output_dir / f"{case}.nii.gz"


def write_prediction(
    output_dir: Path, case: str, source: Path, targets: Tensor, task: Task, convention: str
) -> Path:
    """Write binary ``targets`` (targets, *input) as one label file on the grid of ``source``.

    Raises:
        UserError: the folder cannot be written.
    """
    path = prediction_path(output_dir, case)
    write_volume(path, paint(targets, task, convention).cpu().numpy(), read_header(source))
    return path


def write_probabilities(
    output_dir: Path, case: str, source: Path, probabilities: Tensor, task: Task
) -> None:
    """Write one float32 volume a region or class: ``probabilities/<case>_<name>.nii.gz``."""
    for name, channel in zip(task.regions or task.classes, probabilities, strict=True):
        path = output_dir / "probabilities" / f"{case}_{name}.nii.gz"
        write_volume(path, channel.cpu().numpy().astype(np.float32), read_header(source))


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
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write the cases of this iteration."""
        for sample, output in zip(engine.state.batch, engine.state.output, strict=True):
            write_prediction(
                self.output_dir,
                sample["case"],
                Path(sample["source"]),
                output["pred"],
                self.task,
                self.convention,
            )
