"""Check the cases of a cohort one after the other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.data.admission import findings
from pipeline.data.cohorts import Cohort
from pipeline.data.findings import FileUserError, Finding, Severity
from pipeline.tasks import Task, of_domain


def check_cohort(
    cohort: Cohort, task: Task, convention: str | None
) -> Iterator[tuple[str, list[Finding]]]:
    """What is to be said of each case, by name, of those that lack something first.

    Args:
        cohort: of any layout.
        task: whose label values are known.
        convention: of the label values; None takes those of any convention of the task.
    """
    for name, sentence in cohort.refused.items():
        yield name, [Finding("missing-file", cohort.root, sentence)]
    for case in cohort.cases:
        yield case.name, findings(case, task, convention)


def refused(found: list[Finding]) -> list[Finding]:
    """Those that refuse their case."""
    return [finding for finding in found if finding.severity is Severity.REFUSED]


def without_refused(
    cohort: Cohort, task: Task, convention: str | None, tell: Callable[[str], None]
) -> Cohort:
    """The labelled cases of ``cohort`` that can be used, after telling of each that cannot."""
    kept = set()
    labelled = replace(cohort, cases=tuple(cohort.labelled.values()))
    for name, found in check_cohort(labelled, task, convention):
        wrong = refused(found)
        if wrong:
            tell(f"skipped {name}: {wrong[0].sentence}")
        else:
            kept.add(name)
    cases = tuple(case for case in labelled.cases if case.name in kept)
    return replace(cohort, cases=cases, refused={})


def refuse_cases(
    cohort: Cohort,
    names: Sequence[str],
    task: Mapping[str, Any],
    tell: Callable[[str], None],
    domains: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Refuse a training one of whose cases cannot be used, after telling what is warned of.

    Args:
        cohort: of the training.
        names: of the cases that take part.
        task: of a bundle, for the cases without domain.
        tell: called with a line for each warning.
        domains: of a bundle, for the others.

    Raises:
        FileUserError: with the first such case, and how many there are.
    """
    wrong = []
    for case in cohort.cases:
        if case.name in names:
            own = of_domain(domains or {}, case.domain, "task") if case.domain else task
            convention = case.convention or cohort.convention
            found = findings(case, Task.of(own), convention)
            wrong += refused(found)[:1]
            for finding in found:
                if finding.severity is Severity.WARNED:
                    tell(f"warned: {case.name}: {finding.sentence}")
    if wrong:
        more = f"; {len(wrong) - 1} other cases are refused too" if len(wrong) > 1 else ""
        hint = " (unet-bundles check lists all, train --skip-refused goes on without them)"
        raise FileUserError(f"{wrong[0].sentence}{more}{hint}", wrong[0].code, wrong[0].file)
