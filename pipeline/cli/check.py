"""unet-bundles check."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from pipeline.cli.common import Alignment, Common, Convention

if TYPE_CHECKING:
    from pipeline.data.cohorts import Cohort
    from pipeline.data.findings import Finding

_COLUMNS = ("case", "severity", "code", "sentence")


@dataclass(kw_only=True)
class Check(Common):
    """Look at every file of a cohort before anything is trained on it or segmented."""

    data: Positional[Path]
    """Folder of the cases, in any of the layouts that README.md lists."""
    bundle: str | None = None
    """Whose modalities and labels are expected; those of dataset.json, else of unet3d."""
    labels: Convention | None = None
    """Convention of the label files; that of their layout if not given."""
    layout: str | None = None
    """How the cases lie, such as bids, or pattern:{case}_{modality}.nii.gz; recognised if not
    given."""
    align: Alignment = None
    """Let modalities lie on different grids, as segment and train do with this option."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Print what was found in each case; 1 if a case is refused."""
        from pipeline.bundles import find_bundle
        from pipeline.data.cohort_checks import check_cohort, refused
        from pipeline.data.cohorts import Align, find_cohort, tell
        from pipeline.data.described import described_task
        from pipeline.progress import console, over_cases

        own = described_task(self.data) if self.bundle is None else None
        task = own or find_bundle(self.bundle or "unet3d").task
        cohort = find_cohort(self.data, task, self.layout)
        if self.align is not None:
            cohort = cohort.aligned(Align("rigid" if self.align else "grid"))
        convention = self.labels or cohort.convention
        if convention is not None:
            task.values(convention)
        tell(cohort)
        if cohort.labelled:
            console.print(f"labels follow {convention or ' or '.join(task.conventions)}")
        found = {}
        with over_cases("check", len(cohort.cases) + len(cohort.refused)) as on_case:
            for name, findings in check_cohort(cohort, task, convention):
                found[name] = findings
                on_case("refused" if refused(findings) else "admitted", name)
        self.tell(found, cohort)
        return 1 if any(refused(findings) for findings in found.values()) else 0

    def tell(self, found: dict[str, list["Finding"]], cohort: "Cohort") -> None:
        """Print a row for each finding, then how many cases are refused, warned of and good."""
        from pipeline.data.cohort_checks import refused

        bad = sum(bool(refused(findings)) for findings in found.values())
        if self.json:
            entries = {name: _entries(name, found[name], cohort) for name in found}
            print(json.dumps(entries, indent=2))
            return
        from rich.console import Console
        from rich.table import Column, Table
        from rich.text import Text

        table = Table(*(Column(name, overflow="fold") for name in _COLUMNS))
        for name, findings in found.items():
            for finding in findings:
                sentence = cohort.public(name, finding.sentence)
                table.add_row(*map(Text, (name, finding.severity, finding.code, sentence)))
        console = Console()
        if table.row_count:
            console.print(table)
        warned = sum(bool(findings) for findings in found.values()) - bad
        good = len(found) - bad - warned
        cases = "1 case" if len(found) == 1 else f"{len(found)} cases"
        console.print(f"{cases}: {good} good, {warned} warned of, {bad} refused")


def _entries(name: str, findings: list["Finding"], cohort: "Cohort") -> list[dict[str, str]]:
    return [
        {
            "code": finding.code,
            "severity": str(finding.severity),
            "file": cohort.public(name, str(finding.file)),
            "sentence": cohort.public(name, finding.sentence),
        }
        for finding in findings
    ]
