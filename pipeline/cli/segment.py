"""unet-bundles segment."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from pipeline.arguments import parse_files
from pipeline.cli.common import Common, Convention
from pipeline.errors import UserError


@dataclass(kw_only=True)
class Segment(Common):
    """Segment cases NIfTI to NIfTI, each on the grid of its first modality."""

    bundle: Positional[str]
    """Folder of a run, or name of a bundle with weights."""
    images: tuple[str, ...]
    """Folder of the cases or of one case; or one modality=FILE each for one case."""
    output: Path
    """Folder of the predictions, <case>.nii.gz."""
    weights: Path | None = None
    """Safetensors file; the bundle's own if not given."""
    labels: Convention | None = None
    """Convention of the values written; that of the images' layout if not given."""
    probabilities: bool = False
    """Write the probability of each region or class too."""
    overwrite: bool = False
    """Make predictions again that exist."""
    json: bool = False
    """Print what became of each case as JSON."""

    def run(self) -> int:
        """Segment every case, then tell what failed."""
        from pipeline.bundles import find_bundle
        from pipeline.data.cohorts import Cohort, find_cohort, single_case, written_convention

        bundle = find_bundle(self.bundle)
        if "=" in self.images[0] and not Path(self.images[0]).exists():
            case = single_case(parse_files(self.images), bundle.task)
            cohort = Cohort(Path(), None, (case,))
        elif len(self.images) == 1:
            cohort = find_cohort(Path(self.images[0]), bundle.task)
        else:
            raise UserError("--images takes one folder, or modality=FILE for each modality")
        asked = self.labels or bundle.config("inference").get("written_labels")
        convention = written_convention(bundle.task, cohort, asked)
        self.prepare()
        from pipeline.inference.cohort import segment_cases
        from pipeline.inference.segmentation import Segmenter
        from pipeline.progress import over_cases

        segmenter = Segmenter(bundle, self.weights, self.device)
        with over_cases("segment", len(cohort.cases)) as on_case:
            report = segment_cases(
                segmenter,
                cohort.cases,
                self.output,
                convention,
                self.overwrite,
                self.probabilities,
                on_case,
            )
        report.failed |= cohort.refused
        self.tell(asdict(report))
        return 1 if report.failed else 0

    def tell(self, report: dict[str, Any]) -> None:
        """Print what became of the cases."""
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
