"""A bundle as it ships, but for the width of its network."""

import inspect
import shutil
from pathlib import Path
from pydoc import locate
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import nn

from pipeline.bundles import Bundle
from pipeline.runs import burnt_in
from pipeline.weights import derive_torch_weights, write_weights


def shrunk(source: Bundle, root: Path, features: list[int] | None = None) -> Bundle:
    """A copy of ``source`` at ``root`` with random weights.

    Its ``features`` are 8 at every level if not given.
    """
    shutil.copytree(source.root, root)
    bundle = Bundle(root)
    definition = bundle.config("inference")["network_def"] | {
        "features": features or widths(source)
    }
    for workflow in ("train", "inference"):
        file = bundle.config_file(workflow)
        file.write_text(burnt_in(file.read_text(), {"network_def": definition}))
    write_weights(network_of(bundle), bundle.weights)
    derive_torch_weights(bundle.weights)
    return bundle


def widths(bundle: Bundle) -> list[int]:
    """8 for each level of the bundle's network."""
    definition = bundle.config("inference")["network_def"]
    default = inspect.signature(locate(definition["_target_"])).parameters["features"].default
    return [8] * len(definition.get("features", default))


def network_of(bundle: Bundle, **changes: Any) -> nn.Module:
    """The bundle's network with random weights."""
    torch.manual_seed(0)
    config = bundle.config("inference")
    return ConfigParser(config | changes).get_parsed_content("network_def")
