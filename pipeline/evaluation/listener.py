"""Score what an evaluator predicts, case by case, on the grid of the input."""

from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from rich.console import Console

from pipeline.distributed import gathered, rank
from pipeline.evaluation.scores import score_case
from pipeline.evaluation.tables import Evaluation, Row
from pipeline.grids import spacing
from pipeline.tasks import Task, all_targets


class ScoreCases:
    """Write the scores of every case, and their summary, as CSV and JSON, and print the table.

    Args:
        evaluator: gives binary ``pred`` and ``label`` (targets, *S) of each case.
        task: names the targets.
        output_dir: the folder of ``scores.csv``, ``scores_summary.csv`` and ``scores.json``.
        domains: name the targets where there are several; those of other domains than that of the
            case are NaN in ``label``.
    """

    def __init__(
        self,
        evaluator: Engine,
        task: Mapping[str, Any] | Task,
        output_dir: str,
        domains: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.targets = all_targets(task, domains)
        self.output_dir = Path(output_dir)
        self.rows: list[Row] = []
        evaluator.add_event_handler(Events.ITERATION_COMPLETED, self.score)
        evaluator.add_event_handler(Events.COMPLETED, self.report)

    def score(self, engine: Engine) -> None:
        """Score the cases of this iteration."""
        for sample, output in zip(engine.state.batch, engine.state.output, strict=True):
            millimetres = spacing(sample["label"].affine.numpy())
            masks = (output[key].cpu().numpy() for key in ("pred", "label"))
            for target, predicted, true in zip(self.targets, *masks, strict=True):
                if not np.isnan(true).any():
                    scores = score_case(predicted > 0, true > 0, millimetres)
                    self.rows.append(Row(sample["case"], target, *scores))

    def report(self, engine: Engine) -> None:
        """Write and print what all ranks scored."""
        rows = sorted(chain.from_iterable(gathered(self.rows)), key=lambda row: row.case)
        if rank() > 0:
            return
        evaluation = Evaluation(tuple(rows), ())
        for name in ("scores.csv", "scores.json"):
            evaluation.write(self.output_dir / name)
        Console().print(evaluation.to_table())
