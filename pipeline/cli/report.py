"""unet-bundles report."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.common import Common, Convention, read_as
from pipeline.errors import UserError

if TYPE_CHECKING:
    from pipeline.evaluation import Evaluation
    from pipeline.evaluation.report import Sources


@dataclass(kw_only=True)
class Report(Common):
    """Show predictions in pages that open from disk, with a viewer, scores and what is unusual."""

    predictions: Path
    """Folder of the predictions, <case>.nii.gz."""
    images: Path
    """Folder of the cases that were segmented."""
    output: Path
    """Folder of the report: new, or a report to replace."""
    references: Path | None = None
    """Folder of the cases with labels, or of label files <case>.nii.gz; volumes only if not
    given."""
    layout: str | None = None
    """How images and references lie, such as bids, or pattern:{case}_{modality}.nii.gz; recognised
    if not given."""
    labels: Convention | None = None
    """Convention of the references' values; that of their layout or of the values if not given."""
    prediction_labels: Convention | None = None
    """Convention of the predictions' values; what segment wrote beside them if not given, else that
    of the references."""
    bundle: str | None = None
    """Whose task this is; what segment wrote beside the predictions if not given."""

    def run(self) -> int:
        """Score what has a reference, and write the report."""
        from pipeline.evaluation.report import check_free, write_report
        from pipeline.files import check_writable
        from pipeline.progress import over_cases

        check_free(self.output)
        check_writable(self.output.absolute().parent)
        sources = self._sources()
        scores = self._scores(sources)
        with over_cases("report", len(sources.cohort.cases)) as on_case:
            written = write_report(self.output, sources, scores, on_case)
        for case, sentence in written.failures.items():
            print(f"failed: {case}: {sentence}", file=sys.stderr)
        print(f"report of {written.num_cases} cases: {self.output / 'index.html'}")
        return 1 if written.failures else 0

    def _sources(self) -> "Sources":
        from pipeline.data.cohorts import find_cohort, find_labels
        from pipeline.data.conventions import told_by_values
        from pipeline.data.volumes import is_volume
        from pipeline.evaluation import recorded_task
        from pipeline.evaluation.report import Sources

        if not self.predictions.is_dir():
            raise UserError(f"no folder {self.predictions}: name the one that holds predictions")
        task, predicted = recorded_task(self.predictions, self.bundle)
        cohort = find_cohort(self.images, task, self.layout, with_labels=False)
        convention: str | None = self.labels or ("classes" if task.classes else None)
        references: dict[str, Path] = {}
        if self.references is not None:
            references, found = find_labels(self.references, self.layout)
            convention = convention or found
            if convention is None:
                convention = told_by_values(
                    references.values(), task, self.references, each_its_own=True
                )
        if self.prediction_labels is None and predicted is None and convention is None:
            files = [path for path in self.predictions.iterdir() if is_volume(path)]
            convention = told_by_values(files, task, self.predictions, each_its_own=True)
        folders = {} if self.references is None else {"references": self.references}
        return Sources(
            self.predictions,
            cohort,
            task,
            read_as(self.prediction_labels, predicted, convention or ""),
            references,
            convention or "",
            folders,
        )

    def _scores(self, sources: "Sources") -> "Evaluation | None":
        from pipeline.evaluation import evaluate
        from pipeline.progress import over_cases

        if not sources.references:
            return None
        with over_cases("evaluate", len(sources.references)) as on_case:
            return evaluate(
                sources.predictions,
                sources.references.items(),
                sources.task,
                sources.convention,
                sources.reference_convention,
                on_case=on_case,
            )
