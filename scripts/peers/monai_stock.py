"""Segment cases with MONAI alone: the recipe of the model zoo's brats_mri_segmentation.

Its own windows, ``--window 240 240 160``, hold a whole BraTS volume; ``--window 128 128 128 --mode
gaussian`` is MONAI's usual sliding window.
"""

from pathlib import Path
from typing import Any

import torch
from monai.inferers import SlidingWindowInferer
from monai.transforms import (
    Activationsd,
    AsDiscreted,
    Compose,
    EnsureChannelFirstd,
    Invertd,
    Lambdad,
    LoadImaged,
    NormalizeIntensityd,
    SaveImaged,
)
from network import Stopwatch, arguments, cases_of, config_of, network_of
from torch import Tensor


def main() -> None:
    """Segment every case in turn."""
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--mode", default="constant")
    given = parser.parse_args()
    task = config_of(given.bundle)["task"]
    network = network_of(given.bundle).to(given.device)
    stopwatch = Stopwatch(network)
    inferer = SlidingWindowInferer(
        given.window, sw_batch_size=1, overlap=0.5, mode=given.mode, progress=False
    )
    prepare = Compose(
        [
            LoadImaged("image"),
            EnsureChannelFirstd("image"),
            NormalizeIntensityd("image", nonzero=True, channel_wise=True),
        ]
    )
    finish = finishing(prepare, "regions" in task, given.output)
    on_card = given.device.type == "cuda"
    for files in cases_of(given.cases, task).values():
        with torch.inference_mode(), torch.autocast("cuda", torch.float16, enabled=on_card):
            sample = prepare({"image": files})
            sample["pred"] = inferer(sample["image"][None].to(given.device), network)[0]
            finish(sample)
    stopwatch.write(given.output)


def finishing(prepare: Compose, regions: bool, output: Path) -> Compose:
    """From logits to a label file, on the grid that was read."""
    return Compose(
        [
            Activationsd("pred", sigmoid=regions, softmax=not regions),
            Invertd("pred", transform=prepare, orig_keys="image", nearest_interp=False),
            *discrete(regions),
            SaveImaged(
                "pred",
                output_dir=output,
                output_postfix="",
                output_dtype="uint8",
                separate_folder=False,
                resample=False,
                print_log=False,
                output_name_formatter=named_by_case,
            ),
        ]
    )


def discrete(regions: bool) -> list[AsDiscreted | Lambdad]:
    """Probabilities of regions, or of classes, to the values of a label file."""
    if regions:
        return [AsDiscreted("pred", threshold=0.5), Lambdad("pred", painted)]
    return [AsDiscreted("pred", argmax=True)]


def painted(regions: Tensor) -> Tensor:
    """TC, WT and ET as BraTS values, in the zoo's words."""
    core, whole, enhancing = regions[[0]], regions[[1]], regions[[2]]
    return torch.where(enhancing > 0, 4, torch.where(core > 0, 1, torch.where(whole > 0, 2, 0)))


def named_by_case(meta: dict[str, Any], _: Any) -> dict[str, str]:
    """The folder of the case names the file."""
    return {"subject": Path(meta["filename_or_obj"]).parent.name}


if __name__ == "__main__":
    main()
