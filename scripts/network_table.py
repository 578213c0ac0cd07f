"""Write docs/networks.md: what each network brought, costs, and where it departs from its paper.

python scripts/network_table.py             # keeps the memory that the page already states
python scripts/network_table.py --memory    # measures it anew, which takes minutes
"""

import inspect
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pipeline import networks

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "networks.md"
CHANNELS = {"in_channels": 4, "out_channels": 3}
COUNTED = {2: 256, 3: 128}
"""Voxels along each axis of the image whose multiply-adds are counted, by spatial dimensions."""

MEASURED = {2: 256, 3: 64}
"""Voxels along each axis of the image that memory is measured with."""

INTRODUCTION = """\
# Networks

Each with its paper's defaults and number of dimensions, 4 channels in and 3 out.
Written by `scripts/network_table.py`.

- **Parameters** are those of training. The segmentation part of `ResNetVAE` has 18,798,563; the
  rest is its autoencoder, sized for 128³ voxels. `U2Net` has one domain, of five poolings.
- **Multiply-adds** are those of one image in evaluation: 128³ voxels, or 256² pixels.
- **Memory** is the peak beyond what Python holds before the network is made: weights, activations
  and gradients of one image (64³ voxels, or 256² pixels) in float32, without an optimiser.
  `python scripts/network_table.py --memory` measures each figure in a fresh process on one CPU
  thread; measured again, a figure may differ by a tenth.
- **Bundle** is the one that trains it.
"""

HEADER = [
    "Network",
    "Paper",
    "Year",
    "What it brought",
    "Parameters",
    "Multiply-adds (10⁹, 128³ or 256²)",
    "Memory in training (MiB, 64³ or 256²)",
    "Memory in inference (MiB, 64³ or 256²)",
    "Bundle",
    "Departs from the paper",
]
MEMORY = slice(6, 8)
"""The columns that are measured; the others follow from the code and the bundles."""


@dataclass(frozen=True)
class Row:
    """What the code does not say of a network."""

    kind: type[nn.Module]
    spatial_dims: int
    bundle: str
    brought: str
    arguments: dict[str, Any] = field(default_factory=lambda: CHANNELS)

    def network(self) -> nn.Module:
        """The paper's."""
        return self.kind(self.spatial_dims, **self.arguments)

    def image(self, sizes: dict[int, int]) -> Tensor:
        """One image, of as many voxels along each axis as ``sizes`` says."""
        return torch.rand(
            1, CHANNELS["in_channels"], *[sizes[self.spatial_dims]] * self.spatial_dims
        )


ROWS = [
    Row(networks.FCN, 2, "fcn", "dense prediction by convolutions alone"),
    Row(networks.UNet, 2, "unet2d", "a symmetric decoder that joins the encoder's maps"),
    Row(networks.UNet3D, 3, "unet3d", "volumes; sparse annotation"),
    Row(networks.VNet, 3, "vnet", "residual stages; Dice loss"),
    Row(networks.UNetPlusPlus, 2, "unetplusplus", "nested skips; pruning at inference"),
    Row(networks.NoNewNet, 3, "no_new_net", "a plain U-Net, trained well"),
    Row(networks.ResNetVAE, 3, "resnet_vae", "an autoencoder as regulariser"),
    Row(networks.ResUNetPlusPlus, 2, "resunetplusplus", "attention; atrous pyramid"),
    Row(
        networks.U2Net,
        3,
        "u2net",
        "one network for several domains",
        {"domains": {"one": {**CHANNELS, "pools": 5}}},
    ),
    Row(networks.MultiResUNet, 2, "multiresunet", "several scales a block; residual skips"),
    Row(networks.UNet3Plus, 2, "unet3plus", "full-scale skips; guidance by classification"),
]


def main() -> None:
    """Write the page, or print one measurement if asked for a row's."""
    if sys.argv[1:2] == ["--measure"]:
        row = next(row for row in ROWS if row.bundle == sys.argv[2])
        print(peak_memory(row, training=sys.argv[3] == "training"))
        return
    measured = {} if "--memory" in sys.argv else {cells[0]: cells[MEMORY] for cells in page()}
    rows = []
    for row in ROWS:
        cells = computed(row)
        cells[MEMORY] = measured.get(cells[0]) or [
            measurement(row, mode) for mode in ("training", "inference")
        ]
        rows.append(cells)
    table = "\n".join(
        f"| {' | '.join(cells)} |" for cells in [HEADER, ["---"] * len(HEADER), *rows]
    )
    PAGE.write_text(f"{INTRODUCTION}\n{table}\n", encoding="utf-8")


def page() -> list[list[str]]:
    """The cells of each network in the page as it is."""
    lines = PAGE.read_text(encoding="utf-8").splitlines() if PAGE.exists() else []
    return [line[2:-2].split(" | ") for line in lines if line.startswith("| `")]


def computed(row: Row) -> list[str]:
    """The cells of ``row``, with those empty that are measured."""
    parameters, multiply_adds = costs(row)
    first_line = inspect.getmodule(row.kind).__doc__
    year, arxiv = re.search(r"(\d{4}), arXiv:(\S+)\)", first_line).groups()
    bundle = row.bundle if (ROOT / "bundles" / row.bundle).is_dir() else "–"
    return [
        f"`{row.kind.__name__}`",
        f"[{first_line.partition(':')[0].partition(' (')[0]}](https://arxiv.org/abs/{arxiv})",
        year,
        row.brought,
        f"{parameters:,}",
        f"{multiply_adds / 1e9:,.1f}",
        "",
        "",
        bundle,
        departure(row.kind),
    ]


def costs(row: Row) -> tuple[int, int]:
    """Parameters in training, and multiply-adds in evaluation."""
    with torch.device("meta"):
        network, image = row.network(), row.image(COUNTED)
        network(image)  # sizes the dense layers of an autoencoder
        with FlopCounterMode(display=False) as counter:
            network.eval()(image)
    return sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2


def departure(kind: type[nn.Module]) -> str:
    """The paragraph on what the class says it does otherwise."""
    says = re.search(r"Departs from the paper: (.+?)\n\n", kind.__doc__, flags=re.DOTALL)
    return " ".join(says[1].split()).replace("``", "`") if says else "–"


def measurement(row: Row, mode: str) -> str:
    """Peak memory (MiB), measured in a fresh process."""
    command = [sys.executable, __file__, "--measure", row.bundle, mode]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def peak_memory(row: Row, training: bool) -> str:
    """What one image costs at most (MiB), beyond what this process holds now."""
    torch.set_num_threads(1)
    before = peak_resident()
    network, image = row.network().train(training), row.image(MEASURED)
    with torch.set_grad_enabled(training):
        output = network(image)
        if training:
            output = [output] if isinstance(output, Tensor) else output
            sum(part.mean() for part in output).backward()
    return f"{round((peak_resident() - before) / 1024, -1):,.0f}"


def peak_resident() -> int:
    """Peak resident memory of this process (KiB, Linux); ``ru_maxrss`` would count its parent's."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])


if __name__ == "__main__":
    main()
