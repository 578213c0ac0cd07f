"""unet-bundles export."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from pipeline.cli.common import Common


@dataclass(kw_only=True)
class Export(Common):
    """Export a bundle's network, image to logits of one window, for other runtimes."""

    bundle: Positional[str]
    """Folder of a run, or name of a bundle with weights."""
    format: Literal["pt2", "onnx", "torchscript", "openvino"]
    """Torch's own program, ONNX, TorchScript (which torch is giving up), or OpenVINO."""
    output: Path
    """File: .pt2, .onnx, .ts, or .xml with a .bin beside it."""
    weights: Path | None = None
    """Safetensors file; the bundle's own if not given."""
    domain: str | None = None
    """Of a bundle with several domains, the one to export; what its config says if not given."""
    json: bool = False
    """Print the parity as JSON."""

    def run(self) -> int:
        """Export, then tell how far the file is from the network."""
        from pipeline.bundles import find_bundle

        bundle = find_bundle(self.bundle, self.domain)
        self.set_threads()
        from pipeline.export import export

        parity = export(bundle, self.format, self.output, self.weights)
        if self.json:
            print(json.dumps({"file": str(self.output), **asdict(parity)}, indent=2))
        else:
            shape = " x ".join(map(str, parity.shape))
            print(
                f"written to {self.output}; on an image of {shape} its logits differ from the "
                f"network's by at most {parity.difference:.1e}, where they reach "
                f"{parity.largest:.1e}"
            )
        return 0
