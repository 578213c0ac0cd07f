"""unet-bundles train."""

import json
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from tyro.conf import Positional, UseAppendAction

from pipeline.arguments import parse_overrides
from pipeline.cli.common import Common


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
