"""Score what an evaluator predicts, case by case, on the grid of the input."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from rich.console import Console

from pipeline.evaluation.scores import score_case
from pipeline.evaluation.tables import Evaluation, Row
from pipeline.grids import spacing
from pipeline.tasks import Task


class ScoreCases:
    """Write ``scores.csv`` and ``scores.json`` of every case and print the table.

    Args:
        evaluator: gives binary ``pred`` and ``label`` (targets, *S) of each case.
        task: names the targets.
        output_dir: the folder of the two files.
    """

    def __init__(self, evaluator: Engine, task: Mapping[str, Any] | Task, output_dir: str) -> None:
        self.targets = Task.of(task).targets
        self.output_dir = Path(output_dir)
        self.rows: list[Row] = []
        evaluator.add_event_handler(Events.ITERATION_COMPLETED, self.score)
        evaluator.add_event_handler(Events.COMPLETED, self.report)

    def score(self, engine: Engine) -> None:
        """Score the cases of this iteration."""
        for sample, output in zip(engine.state.batch, engine.state.output, strict=True):
            millimetres = spacing(sample["label"].affine.numpy())
            masks = (output[key].cpu().numpy() > 0 for key in ("pred", "label"))
            for target, predicted, true in zip(self.targets, *masks, strict=True):
                self.rows.append(
                    Row(sample["case"], target, *score_case(predicted, true, millimetres))
                )

    def report(self, engine: Engine) -> None:
        """Write and print what was scored."""
        evaluation = Evaluation(tuple(self.rows), ())
        for name in ("scores.csv", "scores.json"):
            evaluation.write(self.output_dir / name)
        Console().print(evaluation.to_table())
