"""The main job on phantoms: train, segment, evaluate, draw. Run by scripts/demo."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np

from pipeline.data.phantom import write_cohort
from pipeline.pictures import three_planes

DEMO = Path("demo")
CASES, HELD_OUT = 28, 4
SETTINGS = (
    "max_epochs=20",
    "val_interval=20",
    "spacing=null",
    "patch_size=[48,48,32]",
    "network_def::features=[16,32,32]",
    "optimizer::lr=0.01",
)


def main() -> None:
    """Do the main job in ``demo/``, from nothing."""
    start = time.monotonic()
    shutil.rmtree(DEMO, ignore_errors=True)
    names = write_cohort(DEMO / "cohort", CASES, shape=(48, 48, 32), seed=0)
    for name in names[-HELD_OUT:]:
        shutil.move(DEMO / "cohort" / name, DEMO / "held_out" / name)
    print(f"{CASES} phantoms in {DEMO}, {HELD_OUT} of them held out")
    unet_bundles(
        "train", "unet3d", "--data", "demo/cohort", "--output", "demo/run", "--set", *SETTINGS
    )
    unet_bundles("segment", "demo/run", "--images", "demo/held_out", "--output", "demo/predictions")
    scores = "demo/scores.json"
    arguments = ("--predictions", "demo/predictions", "--references", "demo/held_out")
    unet_bundles("evaluate", *arguments, "--output", scores)
    compare_with_threshold(json.loads(Path(scores).read_text()), names[-HELD_OUT:])
    draw(names[-1])
    print(f"predictions and picture.png are in {DEMO}; {time.monotonic() - start:.0f} s")


def unet_bundles(*arguments: str) -> None:
    """Run the command as a user would."""
    print("unet-bundles", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "pipeline", *arguments], check=True)


def compare_with_threshold(scores: dict, names: list[str]) -> None:
    """Print the mean Dice of the network beside that of a threshold on one modality.

    The threshold is the best of many for these very cases, so the baseline is generous.
    """
    sources = {"TC": ("t1c", (1, 3)), "WT": ("t2f", (1, 2, 3)), "ET": ("t1c", (3,))}
    print("mean Dice     network  threshold on one modality")
    for region, (modality, values) in sources.items():
        network = scores["summary"][region]["dice"]["mean"]
        baseline = best_threshold(names, modality, values)
        print(f"{region:12}  {network:7.3f}  {baseline:.3f} ({modality})")


def best_threshold(names: list[str], modality: str, values: tuple[int, ...]) -> float:
    """The highest mean Dice that one threshold of the normalised modality reaches."""
    pairs = []
    for name in names:
        folder = DEMO / "held_out" / name
        image = nib.load(folder / f"{name}-{modality}.nii.gz").get_fdata()
        label = nib.load(folder / f"{name}-seg.nii.gz").get_fdata()
        brain = image[image > 0]
        pairs.append(((image - brain.mean()) / brain.std(), np.isin(label, values)))
    return max(
        float(np.mean([dice(image > level, truth) for image, truth in pairs]))
        for level in np.linspace(0, 4, 41)
    )


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice of two masks, not both empty."""
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def draw(name: str) -> None:
    """Image, reference and prediction of one held-out case, in three planes."""
    folder = DEMO / "held_out" / name
    files = (
        folder / f"{name}-t2f.nii.gz",
        folder / f"{name}-seg.nii.gz",
        DEMO / "predictions" / f"{name}.nii.gz",
    )
    image, reference, prediction = (nib.as_closest_canonical(nib.load(file)) for file in files)
    three_planes(
        image.get_fdata(),
        np.asarray(reference.dataobj).astype(int),
        np.asarray(prediction.dataobj).astype(int),
        spacing=image.header.get_zooms()[:3],
        path=DEMO / "picture.png",
        title=f"{name}: FLAIR, 3D U-Net",
        names={1: "core", 2: "oedema", 3: "enhancing"},
    )


if __name__ == "__main__":
    main()
