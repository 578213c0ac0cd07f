"""unet-bundles pack."""

import json
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from pipeline.cli.common import Common


@dataclass(kw_only=True)
class Pack(Common):
    """Pack a bundle with its code into one zip that MONAI's commands run from anywhere."""

    bundle: Positional[str]
    """Folder of a run, or name of a bundle."""
    output: Path
    """File of the pack, .zip."""
    json: bool = False
    """Print the file as JSON."""

    def run(self) -> int:
        """Write the zip and say whether it can segment."""
        from pipeline.bundles import find_bundle
        from pipeline.packing import pack

        bundle = find_bundle(self.bundle)
        pack(bundle, self.output)
        weights = bundle.weights.is_file()
        if self.json:
            print(json.dumps({"pack": str(self.output), "weights": weights}))
        else:
            ending = "" if weights else "; it holds no weights, so it trains but does not segment"
            print(f"written to {self.output}{ending}")
        return 0
