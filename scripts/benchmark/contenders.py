"""Who takes part: the command of each, and what it says of itself afterwards."""

import importlib.util
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path

PEERS = Path(__file__).resolve().parent.parent / "peers"
KEPT = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
    "MALLOC_TOP_PAD_": str(2**28),
}
"""The allocator's policy of ``pipeline.distributed.keep_freed_memory`` for a process of others."""

ZOO = [240, 240, 160]
"""The window of the model zoo's recipe, voxels."""


@dataclass(frozen=True)
class Contender:
    """One way to segment cases.

    Args:
        name: in the tables.
        command: program and arguments, but for the cases and the output.
        images: the option that names the folder of cases.
        environment: variables of its own.
    """

    name: str
    command: tuple[str, ...]
    images: str = "--cases"
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        """Whether it is this project's."""
        return self.images == "--images"

    def on(self, device: str) -> "Contender":
        """The same on a device."""
        return replace(self, command=(*self.command, "--device", device))

    def line(self, cases: Path, output: Path) -> list[str]:
        """The whole command line."""
        return [*self.command, self.images, str(cases), "--output", str(output)]


def ours(name: str, bundle: Path, *options: str) -> Contender:
    """``unet-bundles segment`` with ``options``."""
    command = (sys.executable, "-m", "pipeline", "segment", str(bundle), *options)
    return Contender(name, command, "--images")


def stock(name: str, bundle: Path, window: list[int], mode: str = "constant") -> Contender:
    """MONAI alone, in windows of this size."""
    options = ("--bundle", str(bundle), "--mode", mode, "--window", *map(str, window))
    return Contender(name, (sys.executable, str(PEERS / "monai_stock.py"), *options))


def nnunet(name: str, bundle: Path, window: list[int]) -> Contender:
    """nnU-Net's predictor, in windows of this size."""
    options = ("--bundle", str(bundle), "--window", *map(str, window))
    folders = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
    environment = dict.fromkeys(folders, tempfile.gettempdir())
    command = (sys.executable, str(PEERS / "nnunet.py"), *options)
    return Contender(name, command, environment=environment)


def keeping(contender: Contender) -> Contender:
    """The same with an allocator that keeps freed memory."""
    name = f"{contender.name}, memory kept"
    return Contender(name, contender.command, contender.images, {**contender.environment, **KEPT})


def has_nnunet() -> bool:
    """Whether nnU-Net is installed; says so if it is not."""
    found = importlib.util.find_spec("nnunetv2") is not None
    if not found:
        print("nnU-Net's predictor is skipped: nnunetv2 is not installed")
    return found


def peers(bundle: Path, window: list[int]) -> list[Contender]:
    """Those that are installed, each also with the allocator's policy."""
    side = "x".join(map(str, window)) if len(set(window)) > 1 else f"{window[0]}³"
    found = [
        stock("zoo recipe, whole volume", bundle, ZOO),
        stock(f"MONAI sliding window {side}", bundle, window, "gaussian"),
    ]
    if has_nnunet():
        found.append(nnunet(f"nnU-Net predictor {side}", bundle, window))
    return [one for peer in found for one in (peer, keeping(peer))]


@dataclass(frozen=True)
class Forward:
    """The network alone: its seconds, and the voxels that it was given."""

    seconds: float
    voxels: int


def backend(output: Path) -> str:
    """What ran the network of a run of ours, in the folder that it wrote."""
    return str(json.loads((output / "run.json").read_text())["backend"])


def forward(output: Path) -> Forward:
    """What a contender counted, in the folder that it wrote."""
    if not (output / "run.json").is_file():
        return Forward(**json.loads((output / "times.json").read_text()))
    run = json.loads((output / "run.json").read_text())
    flips = 2 ** len(run["parameters"]["inferer"]["mirror"])
    windows = [plan for case in run["cases"].values() for plan in case["windows"]]
    voxels = sum(plan["count"] * prod(plan["size"]) for plan in windows)
    return Forward(run["times_s"]["network"], flips * voxels)
