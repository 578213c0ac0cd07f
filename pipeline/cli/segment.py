"""unet-bundles segment."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from pipeline.arguments import parse_files
from pipeline.cli.common import Alignment, Backend, Common, Convention
from pipeline.errors import UserError
from pipeline.tasks import Task

if TYPE_CHECKING:
    from pipeline.bundles import Bundle
    from pipeline.data.cohorts import Cohort
    from pipeline.inference import Segmenter
    from pipeline.inference.cohort import Report


@dataclass(kw_only=True)
class Segment(Common):
    """Segment cases NIfTI to NIfTI, each on the grid of its first modality."""

    bundle: Positional[tuple[str, ...]]
    """Folder of a run, or name of a bundle with weights; of several, probabilities are averaged."""
    images: tuple[str, ...]
    """Folder of the cases or of one case; or one modality=FILE each for one case."""
    output: Path
    """Folder of the predictions, <case>.nii.gz, and of run.json, which says how they were made."""
    domain: str | None = None
    """Of a bundle with several domains, the one of these images; what its config says if not
    given."""
    weights: tuple[Path, ...] | None = None
    """Safetensors file; the bundle's own if not given. Of several, probabilities are averaged."""
    backend: Backend = "auto"
    """What runs the network; auto takes the quickest that is installed and agrees with PyTorch."""
    mirror: tuple[int, ...] | None = None
    """Axes of the volume, such as 0 1 2, over whose mirror images logits are averaged."""
    max_memory: float | None = None
    """GiB that all processes may take together, imports included; four fifths of the machine's if
    not given."""
    plan: bool = False
    """Tell windows, memory and seconds of each case, and segment none."""
    labels: Convention | None = None
    """Convention of the values written; that of the images' layout if not given, or brats2023."""
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
        if not (self.bundle and self.images and self.weights != ()):
            raise UserError("name a bundle, --images, and after --weights a file")
        from pipeline.inference.workers import warm_up

        if not self.plan:
            warm_up()
        from pipeline.bundles import find_bundle
        from pipeline.data.cohorts import tell, written_convention

        bundles = [find_bundle(name, self.domain) for name in self.bundle]
        cohort = self.cohort(bundles[0].task)
        asked = self.labels or bundles[0].config("inference").get("written_labels")
        convention = written_convention(bundles[0].task, cohort, asked)
        self.quieten()
        if self.device not in (None, "cpu"):
            self.prepare()
        segmenter = self.segmenter(bundles)
        if self.plan:
            return self.tell_plans(segmenter, cohort)
        from pipeline.files import cannot_write
        from pipeline.inference.predictions import check_apart, recorded

        check_apart(cohort.cases, self.output)
        recorded(self.output, segmenter.task, convention)  # refuses what is of another task
        with cannot_write(self.output):
            self.output.mkdir(parents=True, exist_ok=True)
        tell(cohort)
        report = self.segmented(segmenter, cohort, convention)
        if self.align is not None:
            self.tell_alignment(report.written)
        self.tell(asdict(report))
        return 1 if report.failed else 0

    def segmenter(self, bundles: list["Bundle"]) -> "Segmenter":
        """What the cases are given to.

        Raises:
            UserError: weights or backend cannot be had.
        """
        from pipeline.inference import Segmenter

        return Segmenter(
            bundles,
            self.weights,
            self.device,
            self.backend,
            self.threads,
            self.max_memory,
            self.mirror,
        )

    def segmented(self, segmenter: "Segmenter", cohort: "Cohort", convention: str) -> "Report":
        """What became of each case of ``cohort``, those that it refuses among them."""
        from pipeline.inference.cohort import segment_cases
        from pipeline.inference.manifest import without_folders
        from pipeline.progress import over_cases

        refused = cohort.without_paths(cohort.refused)
        with over_cases("segment", len(cohort.cases)) as on_case:
            report = segment_cases(
                segmenter,
                cohort.cases,
                self.output,
                convention,
                self.overwrite,
                self.probabilities,
                on_case,
                {name: without_folders(text, [cohort.root]) for name, text in refused.items()},
            )
        report.failed = cohort.without_paths({**report.failed, **cohort.refused})
        return report

    def cohort(self, task: Task) -> "Cohort":
        """The cases that are given.

        Raises:
            UserError: there are none.
        """
        from pipeline.data.cohorts import Align, Cohort, find_cohort, single_case

        if "=" in self.images[0] and not Path(self.images[0]).exists():
            cohort = Cohort(Path(), None, (single_case(parse_files(self.images), task),))
        elif len(self.images) == 1:
            cohort = find_cohort(Path(self.images[0]), task, self.layout, with_labels=False)
        else:
            raise UserError("--images takes one folder, or modality=FILE for each modality")
        if self.align is None:
            return cohort
        report = None if self.plan else self.output / "alignment"
        return cohort.aligned(Align("rigid" if self.align else "grid", report))

    def tell_plans(self, segmenter: "Segmenter", cohort: "Cohort") -> int:
        """Print what each case will take; those that cannot be read or do not fit fail."""
        from pipeline.inference.probing import Prober

        forecast, plans = Prober(segmenter), {}
        failed = cohort.without_paths(cohort.refused)
        for case in cohort.cases:
            try:
                found = forecast(case)
            except (UserError, OSError) as error:
                failed[case.name] = case.without_paths(str(error))
                continue
            plans[case.name] = asdict(found)
            if not self.json:
                print("\n".join(found.lines()))
        for name, text in sorted(failed.items()):
            print(f"failed: {name}: {text}", file=sys.stderr)
        if self.json:
            print(json.dumps(plans, indent=2))
        return 1 if failed else 0

    def tell_alignment(self, cases: list[str]) -> None:
        """Say how far each modality was moved."""
        from pipeline.inference.predictions import alignment_path

        for case in cases:
            report = json.loads(alignment_path(self.output / f"{case}.nii.gz").read_text())
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
