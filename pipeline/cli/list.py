"""unet-bundles list."""

import json
from dataclasses import dataclass

from pipeline.cli.common import Common


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
