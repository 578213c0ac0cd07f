"""One bundle on one fold: trained, segmented, scored; or read, where that was done before."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

from pipeline.bundles import Bundle
from pipeline.comparison.costs import costs
from pipeline.comparison.processes import Training
from pipeline.comparison.results import Measured
from pipeline.comparison.settings import Entry
from pipeline.data.cohorts import Cohort
from pipeline.data.splits import Split
from pipeline.data.volumes import stem
from pipeline.errors import UserError
from pipeline.evaluation import Evaluation, evaluate
from pipeline.evaluation.tables import Failure
from pipeline.files import write_json
from pipeline.inference import Segmenter
from pipeline.inference.cohort import segment_cases
from pipeline.training.budget import SPENT

SCORES, MEASURED, TRAINED = "scores.json", "measured.json", "trained.json"


@dataclass(frozen=True)
class Fold:
    """The cases of one fold, and a folder for what a bundle makes of them.

    Args:
        cohort: holds the cases, with their labels.
        split: of the cases.
        split_file: the same as JSON.
        folder: of one bundle and fold.
        device: of the segmentation, such as "cpu"; None for a GPU if there is one.
    """

    cohort: Cohort
    split: Split
    split_file: Path
    folder: Path
    device: str | None = None

    @property
    def run(self) -> Path:
        """The folder of the run."""
        return self.folder / "run"

    def scored(
        self, entry: Entry, budget: dict[str, Any], training: Training
    ) -> tuple[Measured, Evaluation]:
        """Costs and scores of ``entry``; what is there already is not made again.

        Where a case could not be segmented, all are segmented and scored again.

        Raises:
            UserError: the training failed, or no case could be segmented.
        """
        scores, measured = self.folder / SCORES, self.folder / MEASURED
        if not scores.is_file() or self._lacks_a_prediction(Evaluation.read(scores)):
            spent = self._trained(entry, budget, training)
            scores.unlink(missing_ok=True)
            shutil.rmtree(self.folder / "predictions", ignore_errors=True)
            seconds, failed = self._segmented()
            found = Measured(*costs(Bundle(self.run)), **spent, seconds_per_case=seconds)
            write_json(measured, asdict(found))
            self._evaluated(failed).write(scores)
        content = json.loads(measured.read_text())
        content["patch_size"] = tuple(content["patch_size"])
        return Measured(**content), Evaluation.read(scores)

    def _trained(self, entry: Entry, budget: dict[str, Any], training: Training) -> dict[str, Any]:
        """Iterations, seconds and memory of the training, which is done if it is not."""
        done = self.folder / TRAINED
        if not done.is_file():
            peak = training.run(
                entry, budget, self.split_file, self.run, self.folder / "training.log"
            )
            spent = json.loads((self.run / SPENT).read_text())
            write_json(
                done,
                {
                    "iterations": spent["iterations"],
                    "train_seconds": spent["seconds"],
                    "peak_gib": spent["gpu_gib"] or spent["peak_gib"] or peak,
                },
            )
        content: dict[str, Any] = json.loads(done.read_text())
        return content

    def _segmented(self) -> tuple[float, dict[str, str]]:
        """Seconds a case of reading, segmenting and writing, and a sentence for what failed."""
        segmenter = Segmenter(Bundle(self.run), device=self.device, backend="eager")
        cases = [case for case in self.cohort.cases if case.name in self.split.validation]
        began = monotonic()
        report = segment_cases(
            segmenter, cases, self.folder / "predictions", self._convention, overwrite=True
        )
        failed = self.cohort.without_paths(report.failed)
        if not report.written:
            case, sentence = next(iter(failed.items()))
            raise UserError(f"no case could be segmented: {case}: {sentence}")
        return (monotonic() - began) / len(cases), failed

    def _lacks_a_prediction(self, scores: Evaluation) -> bool:
        folder = self.folder / "predictions"
        written = {stem(path) for path in folder.iterdir()} if folder.is_dir() else set()
        return any(failure.case not in written for failure in scores.failures)

    def _evaluated(self, failed: Mapping[str, str]) -> Evaluation:
        labels = [
            (case.name, case.label)
            for case in self.cohort.cases
            if case.name in self.split.validation and case.label is not None
        ]
        task = Bundle(self.run).task
        scores = evaluate(
            self.folder / "predictions", labels, task, self._convention, self._convention
        )
        rows = tuple(row for row in scores.rows if row.case not in failed)
        others = [failure for failure in scores.failures if failure.case not in failed]
        failures = [*others, *(Failure(case, sentence) for case, sentence in failed.items())]
        return replace(scores, rows=rows, failures=tuple(failures))

    @property
    def _convention(self) -> str:
        if self.cohort.convention is None:
            raise UserError("the convention of the labels is not known: give --labels")
        return self.cohort.convention
