"""A bundle loaded once and called on cases."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import Tensor

from pipeline.bundles import Bundle
from pipeline.data.cohorts import Case
from pipeline.data.loaders import record
from pipeline.errors import UserError
from pipeline.transforms import paint
from pipeline.weights import no_weights, read_weights


class Segmenter:
    """The network of a bundle with its preprocessing, windows and restoring.

    Args:
        bundle: whose inference config is used.
        weights: a safetensors file; None takes the bundle's own.
        device: such as "cpu" or "cuda:0"; None takes the GPU if there is one.

    Raises:
        UserError: the weights are missing or are of another network.
    """

    def __init__(
        self, bundle: Bundle, weights: Path | None = None, device: str | None = None
    ) -> None:
        if weights is None and not bundle.weights.is_file():
            raise UserError(no_weights(bundle))
        self.bundle = bundle
        self.weights = weights or bundle.weights
        parser = ConfigParser(bundle.config("inference"))
        parser["bundle_root"] = str(bundle.root)
        if device is not None:
            parser["device"] = f"$torch.device('{device}')"
        self.device: torch.device = parser.get_parsed_content("device")
        network = parser.get_parsed_content("network_def")
        self.network = read_weights(network, self.weights).to(self.device).eval()
        self.task = bundle.task
        self.preprocessing = parser.get_parsed_content("preprocessing")
        self.inferer = parser.get_parsed_content("inferer")
        self.restore = parser.get_parsed_content("postprocessing")
        self.parameters = _parameters(parser)

    def probabilities(self, case: Case) -> Tensor:
        """Probabilities (out_channels, *S) on the grid of the case's first modality.

        Raises:
            UserError: a file of the case cannot be used.
        """
        sample = self.prepared(case)
        return self.restored(sample, self.logits(sample))

    def prepared(self, case: Case) -> Mapping[str, Any]:
        """The image as the network sees it, and "warnings": findings that a person should know of.

        Raises:
            UserError: a file of the case cannot be used.
        """
        sample: Mapping[str, Any] = self.preprocessing(record(case, None) | {"label": None})
        return sample

    @torch.inference_mode()
    def logits(self, sample: Mapping[str, Any]) -> Tensor:
        """Logits (out_channels, *working) of a case that is ``prepared``, in the main memory."""
        image = sample["image"][None].to(self.device)
        with torch.autocast(self.device.type, torch.float16, enabled=self.device.type == "cuda"):
            logits: Tensor = self.inferer(image, self.network)
        return logits[0].cpu()

    @torch.inference_mode()
    def restored(self, sample: Mapping[str, Any], logits: Tensor) -> Tensor:
        """Probabilities (out_channels, *S) of a case with these ``logits``."""
        return self.restore.probabilities({"image": sample["image"], "pred": logits})

    def targets(self, probabilities: Tensor) -> Tensor:
        """Binary regions, or classes without background, (targets, *S)."""
        return self.restore.targets(probabilities)

    def __call__(self, case: Case, convention: str) -> Tensor:
        """The label map (*S, uint8) of ``case`` in the values of ``convention``.

        Raises:
            UserError: a file of the case cannot be used.
        """
        return paint(self.targets(self.probabilities(case)), self.task, convention)


def _parameters(parser: ConfigParser) -> dict[str, Any]:
    """What decides a prediction besides the weights: its grid and windows, and what comes after."""
    values = ("spatial_dims", "spacing", "patch_size", "recipe")
    components = ("inferer", "postprocessing")
    return {key: parser.get_parsed_content(key) for key in values} | {
        key: parser.get(key) for key in components
    }
