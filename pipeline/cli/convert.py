"""unet-bundles convert."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from pipeline.cli.common import Common
from pipeline.errors import UserError


@dataclass(kw_only=True)
class Convert(Common):
    """Write DICOM studies as NIfTI: <pseudonym>/<modality>.nii.gz."""

    source: Positional[Path]
    """Folder of DICOM files, in folders of any depth."""
    output: Positional[Path]
    """Folder of the cases."""
    json: bool = False
    """Print what became of each case as JSON."""

    def run(self) -> int:
        """Convert every series whose modality is told, then tell what failed."""
        from pipeline.data.conversion import convert
        from pipeline.data.layouts import dicom
        from pipeline.progress import console

        if not self.source.is_dir():
            raise UserError(f"no folder {self.source}: give the folder of the DICOM files")
        listing = dicom.find(self.source.absolute())
        if not listing.cases:
            raise UserError(f"no DICOM image under {self.source}: give the folder of a study")
        for note in listing.notes:
            console.print(note, markup=False, soft_wrap=True)
        written, failed = convert(listing.cases, self.output)
        for case, sentences in failed.items():
            for sentence in sentences:
                print(f"failed: {case}: {sentence}", file=sys.stderr)
        if self.json:
            print(json.dumps({"written": written, "failed": failed}, indent=2))
        else:
            print(f"{len(written)} cases written to {self.output}, {len(failed)} failed")
        return 1 if failed else 0
