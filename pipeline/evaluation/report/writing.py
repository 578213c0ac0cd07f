"""Write the report of a cohort."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError
from pipeline.evaluation.report.cases import Shown, show_case
from pipeline.evaluation.report.folder import copy_assets, new_folder
from pipeline.evaluation.report.outliers import unusual
from pipeline.evaluation.report.pages import Pages
from pipeline.evaluation.report.sources import Sources
from pipeline.evaluation.tables import Evaluation, Failure


@dataclass(frozen=True)
class Written:
    """What a report holds.

    Args:
        num_cases: cases that have a page.
        failures: a sentence for each case that has none or has no scores.
    """

    num_cases: int
    failures: dict[str, str]


def write_report(
    output: Path,
    sources: Sources,
    evaluation: Evaluation | None = None,
    on_case: Callable[[str, str], None] | None = None,
) -> Written:
    """Write a folder that opens from disk: ``index.html``, a page a case, and all they show.

    Neither folders nor what a file says of a patient is in it. The folder is whole or not there.

    Args:
        output: a new or empty folder, or a report, which is replaced.
        sources: what the report is made of.
        evaluation: the scores; without them the report tells volumes only.
        on_case: called with each case and what became of it: shown or failed.

    Raises:
        UserError: ``output`` holds something else or cannot be written, or no case can be shown.
    """
    with new_folder(output) as folder:
        shown: list[Shown] = []
        failures = _told_before(sources, evaluation)
        for case in sources.cohort.cases:
            outcome = "shown"
            try:
                shown.append(show_case(folder, case, sources))
            except UserError as error:
                outcome = "failed"
                failures.setdefault(case.name, sources.public(str(error), case.name))
            if on_case is not None:
                on_case(outcome, case.name)
        if not shown:
            name, sentence = next(iter(failures.items()), ("", "there are no images"))
            raise UserError(f"no case can be shown; the first, {name}: {sentence}")
        copy_assets(folder)
        notes = unusual(
            {case.name: case.volumes_ml for case in shown},
            {case.name: case.intensities for case in shown},
        )
        if evaluation is not None:
            evaluation = _public(evaluation, sources)
            evaluation.write(folder / "scores.csv")
            evaluation.write(folder / "scores.json")
        Pages(folder, sources, evaluation, shown, notes, failures).write()
    return Written(len(shown), failures)


def _told_before(sources: Sources, evaluation: Evaluation | None) -> dict[str, str]:
    """Sentences on cases that failed in segmentation, in the search for files, or in scoring."""
    told: dict[str, str] = {}
    cases = sources.record.get("cases")
    for name in cases if isinstance(cases, dict) else ():
        entry = sources.recorded(name)
        if entry.get("outcome") == "failed":
            told[name] = sources.public(_sentences(entry), name)
    for name, sentence in sources.cohort.refused.items():
        told.setdefault(name, sources.public(sentence, name))
    for failure in evaluation.failures if evaluation else ():
        told.setdefault(failure.case, sources.public(failure.sentence, failure.case))
    return told


def _sentences(entry: dict[str, object]) -> str:
    findings = entry.get("findings")
    told = [
        str(finding.get("sentence") if isinstance(finding, dict) else finding)
        for finding in (findings if isinstance(findings, list) else ())
    ]
    return "; ".join(told) or "the segmentation failed"


def _public(evaluation: Evaluation, sources: Sources) -> Evaluation:
    failures = tuple(
        Failure(case, sources.public(sentence, case)) for case, sentence in evaluation.failures
    )
    return Evaluation(evaluation.rows, failures, evaluation.empty_rule, evaluation.tolerance_mm)
