"""What listens to an evaluator of MONAI that segments."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.engines import IterationEvents

from pipeline.bundles import RECORD
from pipeline.data.cohorts import Cohort
from pipeline.data.volumes import read_header
from pipeline.errors import UserError
from pipeline.files import write_json
from pipeline.inference.predictions import check_apart, prediction_path, recorded, write_prediction
from pipeline.inference.restoring import NOT_FINITE
from pipeline.tasks import Task


class SavePredictions:
    """Write each case that an evaluator has segmented.

    Args:
        task: see ``pipeline.tasks.Task``.
        cohort: its convention is that of the files.
        output_dir: the folder of the files.
    """

    def __init__(self, task: Mapping[str, Any] | Task, cohort: Cohort, output_dir: str) -> None:
        self.task = Task.of(task)
        self.cohort = cohort
        self.convention = cohort.convention or ""
        self.output_dir = Path(output_dir)

    def attach(self, engine: Engine) -> None:
        """Listen to the evaluator."""
        engine.add_event_handler(Events.STARTED, self.begin)
        engine.add_event_handler(IterationEvents.FORWARD_COMPLETED, self.check)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def begin(self, engine: Engine) -> None:
        """Write beside the predictions what they are, and no more: all cases are made again.

        Raises:
            UserError: a prediction would replace an image or label.
        """
        check_apart(self.cohort.cases, self.output_dir, self.cohort.labels)
        known = recorded(self.output_dir, self.task, self.convention)
        record = {key: known[key] for key in ("task", "labels")}
        write_json(self.output_dir / RECORD, record)

    def check(self, engine: Engine) -> None:
        """Refuse logits that are not finite, of which a label map would make background.

        Raises:
            UserError: one is not.
        """
        if not engine.state.output["pred"].isfinite().all():
            raise UserError(NOT_FINITE)

    def __call__(self, engine: Engine) -> None:
        """Write the cases of this iteration."""
        for sample, output in zip(engine.state.batch, engine.state.output, strict=True):
            source = Path(sample["source"])
            write_prediction(
                prediction_path(self.output_dir, sample["case"], source),
                read_header(source),
                output["pred"].cpu(),
                self.task,
                self.convention,
            )
