"""The network of a bundle for the peers, and the seconds that it alone takes."""

import argparse
import json
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
import yaml
from monai.bundle import ConfigParser
from safetensors.torch import load_file
from torch import Tensor, nn


def arguments(description: str) -> argparse.ArgumentParser:
    """What every peer is told; its caller adds its own."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--bundle", type=Path, required=True, help="network_def, task and weights")
    parser.add_argument("--cases", type=Path, required=True, help="CASES/<name>/<modality>.nii.gz")
    parser.add_argument("--output", type=Path, required=True, help="<name>.nii.gz, and times.json")
    parser.add_argument("--window", type=int, nargs=3, required=True)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    return parser


def config_of(bundle: Path) -> dict[str, Any]:
    """The bundle's inference config, nothing in it evaluated."""
    return yaml.safe_load((bundle / "configs/inference.yaml").read_text())


def network_of(bundle: Path) -> nn.Module:
    """The bundle's network with its weights, for evaluation."""
    network = ConfigParser(config_of(bundle)).get_parsed_content("network_def")
    network.load_state_dict(load_file(bundle / "models/model.safetensors"))
    return network.eval()


def head_of(network: nn.Module) -> nn.Module:
    """The last layer: a convolution of one voxel, of our networks or of MONAI's SegResNet."""
    return network.head if hasattr(network, "head") else network.conv_final[-1].conv


def cases_of(folder: Path, task: dict[str, Any]) -> dict[str, list[str]]:
    """The files of each case, in the order of the task's modalities."""
    return {
        case.name: [str(*case.glob(f"{modality}.nii*")) for modality in task["modalities"]]
        for case in sorted(folder.iterdir())
    }


def finish_kernels() -> None:
    """Wait for a GPU that was used."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


class Stopwatch:
    """Counts the voxels that ``network`` is given, and its seconds."""

    def __init__(self, network: nn.Module) -> None:
        self.voxels, self.seconds, self.began = 0, 0.0, 0.0
        network.register_forward_pre_hook(self.start)
        network.register_forward_hook(self.stop)

    def start(self, _: nn.Module, inputs: tuple[Tensor]) -> None:
        """A call begins."""
        self.voxels += inputs[0][:, 0].numel()
        finish_kernels()
        self.began = perf_counter()

    def stop(self, *_: Any) -> None:
        """A call has ended."""
        finish_kernels()
        self.seconds += perf_counter() - self.began

    def write(self, output: Path) -> None:
        """Leave the counts beside the predictions."""
        times = {"seconds": self.seconds, "voxels": self.voxels}
        (output / "times.json").write_text(json.dumps(times))
