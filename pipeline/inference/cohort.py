"""Segment the cases of a cohort one after the other; a bad case does not stop the others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.data.cohorts import Case
from pipeline.data.volumes import read_header
from pipeline.errors import sentence
from pipeline.inference.predictions import (
    prediction_path,
    write_prediction,
    write_probabilities,
    write_record,
)
from pipeline.inference.segmentation import Segmenter


@dataclass
class Report:
    """What became of each case, by name."""

    written: list[str] = field(default_factory=list)
    existing: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    warned: dict[str, list[str]] = field(default_factory=dict)
    """Sentences on cases that are written, without private paths."""


def segment_cases(
    segmenter: Segmenter,
    cases: Sequence[Case],
    output_dir: Path,
    convention: str,
    overwrite: bool = False,
    probabilities: bool = False,
    on_case: Callable[[str, str], None] | None = None,
) -> Report:
    """Write ``<case>.nii.gz`` for each case, or ``<case>.png`` for a case of a 2D image.

    Args:
        segmenter: called on each case.
        cases: in the order in which they are segmented.
        output_dir: made if it does not exist.
        convention: of the values in the files.
        overwrite: whether a prediction that exists is made again.
        probabilities: whether they are written too.
        on_case: called with each case and what became of it: written, left or failed.

    Raises:
        UserError: ``output_dir`` cannot be written, or holds predictions of another kind.
    """
    report = Report()
    write_record(output_dir, segmenter.task, convention)
    for case in cases:
        path = prediction_path(output_dir, case.name, case.images[0][0])
        if path.exists() and not overwrite:
            outcome = "left"
            report.existing.append(case.name)
        else:
            try:
                warnings = _segment_case(segmenter, case, path, convention, probabilities)
                outcome = "written"
                report.written.append(case.name)
                if warnings:
                    report.warned[case.name] = [case.without_paths(text) for text in warnings]
            except Exception as error:
                outcome = "failed"
                report.failed[case.name] = sentence(error) or f"{type(error).__name__}: {error}"
        if on_case is not None:
            on_case(outcome, case.name)
    return report


def _segment_case(
    segmenter: Segmenter, case: Case, path: Path, convention: str, keep: bool
) -> Sequence[str]:
    """Write a prediction; gives what a person should know of the case."""
    header = read_header(case.images[0][0])
    sample = segmenter.prepared(case)
    probabilities = segmenter.predicted(sample)
    if keep:
        write_probabilities(path, header, probabilities, segmenter.task)
    targets = segmenter.targets(probabilities)
    write_prediction(path, header, targets, segmenter.task, convention)
    warnings: Sequence[str] = sample["warnings"]
    return warnings
