"""Bundles for the benchmark: networks as they ship, with weights that give labels worth comparing.

Weights are random but for the last layer, which is fitted to the labels of one case: the labels of
random weights would be noise, in which two ways of computing the same function seem to differ.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from peers.network import head_of
from torch import Tensor, nn

from pipeline.bundles import Bundle, find_bundle
from pipeline.data.cases import Case
from pipeline.data.labels import read_labels
from pipeline.data.volumes import read_volume
from pipeline.runs import burnt_in
from pipeline.tasks import Task
from pipeline.weights import write_weights

SEGRESNET = {
    "_target_": "monai.networks.nets.SegResNet",
    "spatial_dims": 3,
    "init_filters": 16,
    "in_channels": 4,
    "out_channels": 3,
    "blocks_down": [1, 2, 2, 4],
    "blocks_up": [1, 1, 1],
}
"""The network of the model zoo's brats_mri_segmentation."""

WINDOWS = {"_target_": "pipeline.inference.inferer.Windows", "spatial_dims": "@spatial_dims"}


def whole(name: str, **more: Any) -> dict[str, Any]:
    """One window over all that the recipe leaves, of the divisor of the network."""
    divisor = {"divisor": 8} if name == "segresnet" else {}
    return {"inferer": WINDOWS | {"patch_size": "whole"} | divisor | more}


def windows(patch_size: list[int]) -> dict[str, Any]:
    """Windows of this size at half their size from each other."""
    return {"inferer": WINDOWS | {"patch_size": patch_size}, "patch_size": patch_size}


def recipe(margin: int | None) -> dict[str, Any]:
    """The shipped recipe on the axes of BraTS files, which peers show their network too."""
    return {
        "recipe": {
            "foreground_margin": margin,
            "intensity": "nonzero_zscore",
            "orientation": "LPS",
            "spacing": "@spacing",
        }
    }


def made(name: str, root: Path, changes: Mapping[str, Any]) -> Bundle:
    """A bundle at ``root`` that is like the shipped one but for ``changes`` in its configs.

    Args:
        name: "segresnet", or the name of a shipped bundle.
        root: a folder that is not there yet.
        changes: values by top-level key.
    """
    source = find_bundle("unet3d" if name == "segresnet" else name)
    shutil.copytree(source.root, root)
    own = {"network_def": SEGRESNET} if name == "segresnet" else {}
    bundle = Bundle(root)
    for workflow in ("train", "inference"):
        file = bundle.config_file(workflow)
        file.write_text(burnt_in(file.read_text(), {**own, **changes}))
    return bundle


def network_of(bundle: Bundle) -> nn.Module:
    """The network of ``bundle`` with random weights of a fixed seed."""
    torch.manual_seed(0)
    return ConfigParser(bundle.config("inference")).get_parsed_content("network_def").eval()


def fit(bundle: Bundle, case: Case, convention: str = "brats2018") -> None:
    """Write weights whose last layer finds the regions of ``case``, labelled in ``convention``."""
    network = network_of(bundle)
    image, regions = brain_of(case, bundle.task, convention)
    head = head_of(network)
    features: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    with torch.inference_mode():
        network(image)
    hook.remove()
    solve(head, features[0][0].flatten(1), regions.flatten(1))
    write_weights(network, bundle.weights)


def brain_of(case: Case, task: Task, convention: str) -> tuple[Tensor, Tensor]:
    """Image (1, C, H, W, D) and regions (K, H, W, D) around what is not zero, normalised."""
    channels = [read_volume(path).array.astype(np.float32) for path, _ in case.images]
    image = torch.from_numpy(np.stack(channels))
    labels = torch.tensor(read_labels(case.label, task, convention).array)
    box = tuple(
        slice(int(along.min()), int(along.min()) + int(along.max() - along.min()) // 16 * 16)
        for along in image.amax(0).nonzero().T
    )
    image, labels = image[:, *box], labels[box]
    for channel in image:
        values = channel[channel != 0]
        channel[channel != 0] = (values - values.mean()) / values.std()
    values_of = task.target_values(convention)
    regions = [torch.isin(labels, torch.tensor(values_of[name])) for name in task.targets]
    return image[None], torch.stack(regions)


def solve(head: nn.Module, features: Tensor, regions: Tensor) -> None:
    """Fit a 1x1x1 convolution by least squares to +-4, both sides of a region weighing the same.

    Args:
        head: with K channels out.
        features: (C, voxels), what it gets.
        regions: (K, voxels), what it should find.
    """
    inputs = torch.cat([features, torch.ones_like(features[:1])]).double()
    for channel, region in enumerate(regions):
        weights = torch.where(region, 0.5 / region.sum(), 0.5 / (~region).sum()).double()
        gram = (inputs * weights) @ inputs.T + 1e-6 * torch.eye(len(inputs), dtype=torch.float64)
        target = torch.where(region, 4.0, -4.0).double()
        solution = torch.linalg.solve(gram, (inputs * weights) @ target)
        head.weight.data[channel] = solution[:-1].view_as(head.weight[channel]).float()
        head.bias.data[channel] = solution[-1].float()
