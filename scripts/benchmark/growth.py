"""How cost grows with volume, window and classes: ours and the peers on synthetic volumes."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from benchmark.bundles import made, network_of, windows
from benchmark.cases import synthetic
from benchmark.contenders import Contender, has_nnunet, nnunet, ours, stock
from benchmark.processes import Cost
from benchmark.rounds import last_words, once

from pipeline.weights import write_weights

LIMIT_BYTES = 16 * 2**30
LIMIT_S = 120.0
"""What goes beyond is stopped, and shown as such."""

LIMIT_OF_LARGE_S = 3600.0
"""Seconds of the large volume."""

FEATURES = [4, 8, 16]
"""Channels by level of the 3D U-Net that is used: small, so that the rest shows."""


@dataclass(frozen=True)
class Setting:
    """A synthetic volume and how it is segmented.

    Args:
        axis: what is varied in this row.
        shape: of the volume, voxels.
        window: voxels along each side.
        classes: output channels.
    """

    axis: str
    shape: tuple[int, int, int]
    window: int = 96
    classes: int = 2

    @property
    def limit_s(self) -> float:
        """Seconds after which a contender is stopped."""
        return LIMIT_OF_LARGE_S if self.axis == "large" else LIMIT_S

    @property
    def value(self) -> int:
        """Of what is varied."""
        return {"volume": self.shape[0], "window": self.window}.get(self.axis, self.classes)


VOLUME, WINDOW, CLASSES = (64, 128, 256, 512), (64, 96, 128), (2, 8, 25)
BASE = Setting("volume", (256, 256, 256))
LARGE = Setting("large", (512, 512, 800), 96, 25)

Row = tuple[Setting, str, Cost]


def settings() -> list[Setting]:
    """Each axis in turn, the others as in ``BASE``."""
    return [
        *(replace(BASE, shape=(side,) * 3, window=min(96, side)) for side in VOLUME),
        *(replace(BASE, axis="window", window=window) for window in WINDOW),
        *(replace(BASE, axis="classes", classes=classes) for classes in CLASSES),
    ]


def measure_growth(work: Path, only: Sequence[str]) -> list[Row]:
    """Print a table over all settings; gives its rows.

    Args:
        work: folder of all that is made.
        only: parts of the names of the contenders that are wanted.
    """
    return list(_rows(settings(), work, only))


def measure_large(work: Path, only: Sequence[str]) -> None:
    """Print the row of a volume whose probabilities fill more than 20 GB."""
    list(_rows([LARGE], work, only))


def _rows(wanted: list[Setting], work: Path, only: Sequence[str]) -> Iterator[Row]:
    """Measure every contender in every setting, printing as it goes."""
    print("| volume | window | classes | contender | wall s | peak GB |\n|---|---|---|---|---|---|")
    done: dict[tuple[object, ...], Cost] = {}
    for shape, group in groupby(wanted, lambda setting: setting.shape):
        cases = work / "synthetic"
        shutil.rmtree(cases, ignore_errors=True)
        synthetic(cases, shape)
        for setting in group:
            contenders = _contenders(setting, work)
            for contender in (one for one in contenders if any(part in one.name for part in only)):
                key = (shape, setting.window, setting.classes, contender.name)
                if key not in done:
                    done[key] = _measured(contender, cases, work, setting.limit_s)
                    _tell(setting, contender.name, done[key])
                yield setting, contender.name, done[key]


def _contenders(setting: Setting, work: Path) -> list[Contender]:
    """Ours and the peers with the windows and classes of ``setting``."""
    root = work / f"small_{setting.window}_{setting.classes}"
    task = {
        "modalities": ["MRI"],
        "classes": ["background", *(f"class{i}" for i in range(1, setting.classes))],
    }
    if not root.is_dir():
        network = {
            "_target_": "pipeline.networks.UNet3D",
            "spatial_dims": 3,
            "in_channels": 1,
            "out_channels": setting.classes,
            "features": FEATURES,
        }
        changes = windows([setting.window] * 3) | {"task": task, "network_def": network}
        bundle = made("unet3d", root, changes)
        write_weights(network_of(bundle), bundle.weights)
    window = [setting.window] * 3
    whole = [-(-size // 16) * 16 for size in setting.shape]
    limit = ("--max-memory", "4") if setting.axis == "large" else ()
    return [
        ours(" ".join(("ours", *limit)), root, *limit),
        stock("MONAI sliding window", root, window, "gaussian"),
        *([nnunet("nnU-Net predictor", root, window)] if has_nnunet() else []),
        stock("MONAI, whole volume", root, whole),
    ]


def _measured(contender: Contender, cases: Path, work: Path, limit_s: float) -> Cost:
    """What it takes; ours converts its network before, on a small volume."""
    small = work / "small"
    if contender.ours:
        once(contender, small if small.is_dir() else synthetic(small, (64,) * 3), work)
    cost, _ = once(contender, cases, work, LIMIT_BYTES, limit_s)
    if cost.status and not cost.stopped:
        print(f"{contender.name}: {last_words(work)}")
    return cost


def _tell(setting: Setting, name: str, cost: Cost) -> None:
    """Print a row."""
    words = {"memory": "over 16 GiB", "time": f"over {setting.limit_s:.0f} s"}
    failed = "failed" if cost.status else ""
    wall = words.get(cost.stopped or "", failed) or f"{cost.wall_s:.1f}"
    volume = "x".join(map(str, setting.shape))
    peak = f"{cost.peak_bytes / 1e9:.2f}" + (" when stopped" if cost.stopped else "")
    print(f"| {volume} | {setting.window}³ | {setting.classes} | {name} | {wall} | {peak} |")
