"""Segment the cases of a cohort one after the other; a bad case does not stop the others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.data.cohorts import Case
from pipeline.data.findings import FileUserError
from pipeline.data.pixels import is_image
from pipeline.data.volumes import read_header
from pipeline.errors import sentence
from pipeline.inference.manifest import Entry, Manifest, input_hashes, without_folders
from pipeline.inference.predictions import (
    prediction_path,
    volumes_ml,
    write_labels,
    write_probabilities,
)
from pipeline.inference.segmentation import Segmenter
from pipeline.transforms import paint


@dataclass
class Report:
    """What became of each case, by name."""

    written: list[str] = field(default_factory=list)
    existing: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    warned: dict[str, list[str]] = field(default_factory=dict)
    """Sentences on cases that are written, without private paths."""

    def tell(self, case: Case, entry: Entry) -> None:
        """Add what became of ``case``."""
        texts = [found["sentence"] for found in entry.findings]
        if entry.outcome == "failed":
            self.failed[case.name] = texts[-1]
            return
        self.written.append(case.name)
        if texts:
            self.warned[case.name] = [case.without_paths(text) for text in texts]


def segment_cases(
    segmenter: Segmenter,
    cases: Sequence[Case],
    output_dir: Path,
    convention: str,
    overwrite: bool = False,
    probabilities: bool = False,
    on_case: Callable[[str, str], None] | None = None,
    refused: Mapping[str, str] | None = None,
) -> Report:
    """Write ``<case>.nii.gz`` for each case, or ``<case>.png`` for a case of a 2D image.

    What was done stands in ``run.json`` beside them, see ``pipeline.inference.manifest``.

    Args:
        segmenter: called on each case.
        cases: in the order in which they are segmented.
        output_dir: made if it does not exist.
        convention: of the values in the files.
        overwrite: whether a prediction that exists is made again.
        probabilities: whether they are written too.
        on_case: called with each case and what became of it: written, left or failed.
        refused: a sentence for each case that is none of ``cases`` and is recorded as failed.

    Raises:
        UserError: ``output_dir`` cannot be written, or holds predictions of another kind.
    """
    report = Report()
    manifest = Manifest(
        output_dir, segmenter, convention, _options(segmenter, cases, probabilities, overwrite)
    )
    for name, text in (refused or {}).items():
        manifest.add(name, Entry().finding("missing-file", text))
    for case in cases:
        path = prediction_path(output_dir, case.name, case.images[0][0])
        if path.exists() and not overwrite:
            outcome = "left"
            report.existing.append(case.name)
            manifest.leave(case.name)
        else:
            entry = _segmented(segmenter, case, path, convention, probabilities)
            outcome = entry.outcome
            report.tell(case, entry)
            manifest.add(case.name, _public(entry, case, output_dir))
        if on_case is not None:
            on_case(outcome, case.name)
    manifest.end()
    return report


def _options(
    segmenter: Segmenter, cases: Sequence[Case], probabilities: bool, overwrite: bool
) -> dict[str, Any]:
    align = next((case.align.how for case in cases if case.align is not None), None)
    return {
        "domain": segmenter.bundle.domain,
        "align": align,
        "probabilities": probabilities,
        "overwrite": overwrite,
    }


def _segmented(segmenter: Segmenter, case: Case, path: Path, convention: str, keep: bool) -> Entry:
    """Write the prediction of ``case`` at ``path``, and its probabilities if to be kept."""
    entry = Entry()
    task = segmenter.task
    try:
        with entry.timed("load"):
            entry.input_sha256 = input_hashes(case, task.modalities)
            header = read_header(case.images[0][0])
            sample = segmenter.prepared(case)
        with entry.timed("network"):
            logits = segmenter.logits(sample)
        with entry.timed("restore"):
            probabilities = segmenter.restored(sample, logits)
            labels = paint(segmenter.targets(probabilities), task, convention)
            if not is_image(path):
                entry.volumes_ml = volumes_ml(labels, header, task, convention)
        with entry.timed("write"):
            if keep:
                write_probabilities(path, header, probabilities, task)
            write_labels(path, header, labels, task)
        for finding in sample["warnings"]:
            entry.finding(finding.code, finding.sentence)
        entry.outcome = "written"
    except Exception as error:
        entry.finding(_code(error), sentence(error) or f"{type(error).__name__}: {error}")
    return entry


def _code(error: BaseException | None) -> str | None:
    """The code of the check that refused a file, if that is behind ``error``."""
    while error is not None:
        if isinstance(error, FileUserError):
            return error.code
        error = error.__cause__ or error.__context__
    return None


def _public(entry: Entry, case: Case, output_dir: Path) -> Entry:
    """``entry`` without folders, or anything of the paths of a private case."""
    folders = {output_dir.absolute(), output_dir, *(path.parent for path, _ in case.images)}
    findings = [
        {**found, "sentence": without_folders(case.without_paths(found["sentence"]), folders)}
        for found in entry.findings
    ]
    return replace(entry, findings=findings)
