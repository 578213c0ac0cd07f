"""unet-bundles segment."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from pipeline.arguments import parse_files
from pipeline.cli.common import Alignment, Common, Convention
from pipeline.errors import UserError
from pipeline.tasks import Task

if TYPE_CHECKING:
    from pipeline.data.cohorts import Cohort


@dataclass(kw_only=True)
class Segment(Common):
    """Segment cases NIfTI to NIfTI, each on the grid of its first modality."""

    bundle: Positional[str]
    """Folder of a run, or name of a bundle with weights."""
    images: tuple[str, ...]
    """Folder of the cases or of one case; or one modality=FILE each for one case."""
    output: Path
    """Folder of the predictions, <case>.nii.gz, and of run.json, which says how they were made."""
    domain: str | None = None
    """Of a bundle with several domains, the one of these images; its first if not given."""
    weights: Path | None = None
    """Safetensors file; the bundle's own if not given."""
    labels: Convention | None = None
    """Convention of the values written; that of the images' layout if not given."""
    probabilities: bool = False
    """Write the probability of each region or class too."""
    layout: str | None = None
    """How the images lie, such as bids, or pattern:{case}_{modality}.nii.gz; recognised if not
    given."""
    align: Alignment = None
    """Resample modalities on different grids onto the first; "rigid" registers them before."""
    overwrite: bool = False
    """Make predictions again that exist."""
    json: bool = False
    """Print what became of each case as JSON."""

    def run(self) -> int:
        """Segment every case, then tell what failed."""
        from pipeline.bundles import find_bundle
        from pipeline.data.cohorts import tell, written_convention

        bundle = find_bundle(self.bundle, self.domain)
        cohort = self.cohort(bundle.task)
        asked = self.labels or bundle.config("inference").get("written_labels")
        convention = written_convention(bundle.task, cohort, asked)
        self.prepare()
        from pipeline.inference.cohort import segment_cases
        from pipeline.inference.manifest import without_folders
        from pipeline.inference.predictions import write_record
        from pipeline.inference.segmentation import Segmenter
        from pipeline.progress import over_cases

        segmenter = Segmenter(bundle, self.weights, self.device)
        write_record(self.output, segmenter.task, convention)
        tell(cohort)
        with over_cases("segment", len(cohort.cases)) as on_case:
            report = segment_cases(
                segmenter,
                cohort.cases,
                self.output,
                convention,
                self.overwrite,
                self.probabilities,
                on_case,
                {
                    name: without_folders(text, [cohort.root])
                    for name, text in cohort.without_paths(cohort.refused).items()
                },
            )
        report.failed = cohort.without_paths({**report.failed, **cohort.refused})
        if self.align is not None:
            self.tell_alignment(report.written)
        self.tell(asdict(report))
        return 1 if report.failed else 0

    def cohort(self, task: Task) -> "Cohort":
        """The cases that are given.

        Raises:
            UserError: there are none.
        """
        from pipeline.data.cohorts import Align, Cohort, find_cohort, single_case

        if "=" in self.images[0] and not Path(self.images[0]).exists():
            cohort = Cohort(Path(), None, (single_case(parse_files(self.images), task),))
        elif len(self.images) == 1:
            cohort = find_cohort(Path(self.images[0]), task, self.layout)
        else:
            raise UserError("--images takes one folder, or modality=FILE for each modality")
        if self.align is None:
            return cohort
        return cohort.aligned(Align("rigid" if self.align else "grid", self.output / "alignment"))

    def tell_alignment(self, cases: list[str]) -> None:
        """Say how far each modality was moved."""
        for case in cases:
            report = json.loads((self.output / "alignment" / f"{case}.json").read_text())
            for modality, moved in report["moved"].items():
                line = f"{case}: {modality} moved by at most {moved['largest_shift_mm']:.1f} mm"
                if moved["similarity_after"] is not None:
                    before, after = moved["similarity_before"], moved["similarity_after"]
                    line += f", similarity {before:.3f} before and {after:.3f} after"
                print(line, file=sys.stderr)

    def tell(self, report: dict[str, Any]) -> None:
        """Print what became of the cases."""
        for case, warnings in sorted(report["warned"].items()):
            for text in warnings:
                print(f"warned: {case}: {text}", file=sys.stderr)
        for case, text in sorted(report["failed"].items()):
            print(f"failed: {case}: {text}", file=sys.stderr)
        if self.json:
            print(json.dumps(report, indent=2))
            return
        written, existing, failed = (len(report[key]) for key in ("written", "existing", "failed"))
        left = (
            f", {existing} existed and were left (--overwrite makes them again)" if existing else ""
        )
        print(f"{written} written to {self.output}{left}, {failed} failed")
