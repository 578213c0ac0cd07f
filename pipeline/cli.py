"""Train U-shaped networks on volumes, and segment with them. Not a medical device."""

import json
import logging
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import tyro
from tyro.conf import Positional, UseAppendAction

from pipeline import __version__
from pipeline.arguments import parse_files, parse_overrides
from pipeline.errors import UserError, sentence

Convention = Literal["brats2018", "brats2023", "msd_brats", "classes"]


@dataclass(kw_only=True)
class Common:
    """Options that every verb takes."""

    seed: int | None = None
    """Decides all randomness; the bundle's own if not given."""
    threads: int | None = None
    """CPU threads of the network; all cores if not given."""
    workers: int | None = None
    """Processes that load cases while training."""
    device: str | None = None
    """Such as cpu or cuda:0; a GPU if there is one."""
    debug: bool = False
    """Show the traceback of an error."""

    def prepare(self) -> None:
        """Set threads, quieten the libraries, and refuse a device that is not there.

        Raises:
            UserError: the device is unknown or absent.
        """
        if not self.debug:
            logging.disable(logging.CRITICAL)
            warnings.simplefilter("ignore")
        import torch

        from pipeline.distributed import keep_freed_memory

        keep_freed_memory()
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        if self.device is not None:
            try:
                torch.empty(0, device=self.device)
            except (RuntimeError, AssertionError) as error:
                raise UserError(
                    f"no device {self.device} on this machine: try --device cpu"
                ) from error


@dataclass(kw_only=True)
class List(Common):
    """Show the bundles that come with the project."""

    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Print a line a bundle."""
        from pipeline.bundles import shipped

        bundles = [
            {
                "name": name,
                "description": bundle.metadata["description"],
                "folder": str(bundle.root),
            }
            for name, bundle in shipped().items()
        ]
        if self.json:
            print(json.dumps(bundles, indent=2))
        else:
            width = max((len(bundle["name"]) for bundle in bundles), default=0)
            print("\n".join(f"{one['name']:{width}}  {one['description']}" for one in bundles))
        return 0


@dataclass(kw_only=True)
class Train(Common):
    """Train a bundle on a cohort; the run is a complete bundle."""

    bundle: Positional[str]
    """Name of a bundle, or its folder."""
    data: Path
    """Folder of the cases, in any of the layouts that README.md lists."""
    output: Path | None = None
    """Folder of the run; runs/<bundle>-<date>-<time> if not given."""
    split: Path | None = None
    """JSON file {"train": [case, ...], "validation": [case, ...]}."""
    set: UseAppendAction[tuple[tuple[str, ...], ...]] = ()
    """Changes of the bundle's train.yaml: key=value, nested keys as key::inner=value."""
    json: bool = False
    """Print the folder of the run as JSON."""

    def run(self) -> int:
        """Check, train, and say where the run is."""
        from pipeline.bundles import find_bundle, new_run

        bundle = find_bundle(self.bundle)
        overrides = parse_overrides(chain.from_iterable(self.set))
        given = {"seed": self.seed, "num_workers": self.workers, "device::name": self.device}
        overrides |= {key: value for key, value in given.items() if value is not None}
        if self.split is not None:
            overrides["split_file"] = str(self.split)
        output = self.output or Path(new_run(str(bundle.root)))
        self.prepare()
        from pipeline.training.run import train

        train(bundle, self.data, output, overrides)
        print(json.dumps({"run": str(output)}) if self.json else f"the run is a bundle: {output}")
        return 0


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


@dataclass(kw_only=True)
class Evaluate(Common):
    """Score predictions against references: Dice and 95 % Hausdorff distance (mm)."""

    predictions: Path
    """Folder of the predictions, <case>.nii.gz."""
    references: Path
    """Folder of the cases with labels, or of label files <case>.nii.gz."""
    output: Path | None = None
    """File for the scores: .csv or .json."""
    labels: Convention | None = None
    """Convention of the references' values; that of their layout if not given."""
    bundle: str | None = None
    """Whose task this is; what segment wrote beside the predictions if not given."""
    json: bool = False
    """Print the scores as JSON."""

    def run(self) -> int:
        """Score every reference, print and write the table."""
        from pipeline.data.cohorts import find_labels
        from pipeline.evaluation import evaluate, recorded_task
        from pipeline.progress import over_cases

        if self.output is not None and self.output.suffix not in (".csv", ".json"):
            raise UserError(f"cannot tell the format of {self.output}: end it in .csv or .json")
        task, predicted = recorded_task(self.predictions, self.bundle)
        labels, found = find_labels(self.references)
        convention = self.labels or ("classes" if task.classes else found)
        if convention is None:
            known = ", ".join(task.conventions)
            raise UserError(
                f"the label convention of {self.references} is unknown: add --labels ({known})"
            )
        with over_cases("evaluate", len(labels)) as on_case:
            scores = evaluate(
                self.predictions, labels.items(), task, predicted or convention, convention, on_case
            )
        if self.output is not None:
            scores.write(self.output)
        for failure in scores.failures:
            print(f"failed: {failure.case}: {failure.sentence}", file=sys.stderr)
        if self.json:
            print(json.dumps(scores.to_json(), indent=2))
        else:
            from rich.console import Console

            Console().print(scores.to_table())
        return 1 if scores.failures else 0


VERBS: dict[str, Callable[..., Common]] = {
    "list": List,
    "train": Train,
    "segment": Segment,
    "evaluate": Evaluate,
}


def main(arguments: list[str] | None = None) -> None:
    """Run one verb; a user's mistake ends in one sentence and status 2."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["--version"]:
        print(f"unet-bundles {__version__}")
        return
    verb: Any = tyro.extras.subcommand_cli_from_dict(
        VERBS,
        prog="unet-bundles",
        description=__doc__,
        args=given,
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    try:
        status = verb.run()
    except KeyboardInterrupt:
        print("unet-bundles: interrupted", file=sys.stderr)
        status = 130
    except Exception as error:
        if verb.debug:
            raise
        unexpected = f"unexpected {type(error).__name__}: {error} (--debug shows where)"
        print(f"unet-bundles: {sentence(error) or unexpected}", file=sys.stderr)
        status = 2
    sys.exit(status)
