"""unet-bundles train."""

import json
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from tyro.conf import Positional, UseAppendAction

from pipeline.arguments import parse_overrides
from pipeline.cli.common import Alignment, Common, Convention
from pipeline.errors import UserError

GIVEN = {"bundle_root": "the name of the bundle", "dataset_dir": "--data", "output_dir": "--output"}
"""Keys of the config that the command sets itself, and by what."""


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
    layout: str | None = None
    """How the cases lie, such as bids, or pattern:{case}_{modality}.nii.gz; recognised if not
    given."""
    align: Alignment = None
    """Resample modalities on different grids onto the first; "rigid" registers them before."""
    labels: Convention | None = None
    """Convention of the label values; that of the layout or of the values if not given."""
    resume: bool = False
    """Go on with the run at --output (or with the run that is named as the bundle)."""
    tracking: Literal["mlflow"] | None = None
    """Write the curves into an MLflow database of the run too."""
    skip_refused: bool = False
    """Go on without the cases that unet-bundles check refuses."""
    json: bool = False
    """Print the folder of the run as JSON."""

    def run(self) -> int:
        """Check, train, and say where the run is."""
        from pipeline.bundles import find_bundle
        from pipeline.runs import new_run

        bundle = find_bundle(self.bundle)
        overrides = parse_overrides(chain.from_iterable(self.set))
        for key, option in GIVEN.items():
            if key in overrides:
                raise UserError(f"--set cannot change {key}: give it as {option}")
        given = {"seed": self.seed, "num_workers": self.workers, "device::name": self.device}
        given |= {"cohort::layout": self.layout, "labels": self.labels}
        overrides |= {key: value for key, value in given.items() if value is not None}
        if self.skip_refused:
            overrides["cohort::skip_refused"] = True
        if self.align is not None:
            overrides["cohort::align"] = "rigid" if self.align else "grid"
        if self.split is not None:
            overrides["split_file"] = str(self.split)
        if self.resume:
            overrides["resume"] = True
        own = bundle.root if self.resume else Path(new_run(str(bundle.root)))
        output = self.output or own
        self.prepare()
        from pipeline.training.run import train

        train(bundle, self.data, output, overrides, self.tracking)
        print(json.dumps({"run": str(output)}) if self.json else f"the run is a bundle: {output}")
        return 0
