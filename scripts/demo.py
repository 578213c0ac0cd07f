"""The main job on phantoms: train, segment, evaluate, draw. Run by scripts/demo.

With --hippocampus DIR the trained bundle in bundles/trained/hippocampus does it on real MRI.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np

from pipeline.data.phantom import write_cohort

DEMO = Path("demo")
MADE = ("cohort", "held_out", "run", "predictions", "scores.json", "pictures")
"""What this script leaves in ``DEMO``, and deletes before it begins anew."""

TRAINED = Path("bundles/trained/hippocampus")
CASES, HELD_OUT = 28, 4
LEAST_DICE = 0.8
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
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument(
        "--hippocampus", type=Path, metavar="DIR", help="folder of decathlon Task04, dataset.json"
    )
    options = parser.parse_args()
    if options.hippocampus:
        options.hippocampus = Path(os.environ.get("CALLER", ""), options.hippocampus)
    if options.hippocampus and not (options.hippocampus / "dataset.json").is_file():
        sys.exit(
            f"scripts/demo: no dataset.json in {options.hippocampus}: name the folder of Task04"
        )
    start = time.monotonic()
    for path in (DEMO / name for name in MADE):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(True)
    if options.hippocampus:
        on_hippocampi(options.hippocampus.resolve())
    else:
        on_phantoms()
    print(f"predictions and pictures are in {DEMO}; {time.monotonic() - start:.0f} s")


def on_phantoms() -> None:
    """Train on phantoms and segment others."""
    names = write_cohort(DEMO / "cohort", CASES, shape=(48, 48, 32), seed=0)
    for name in names[-HELD_OUT:]:
        shutil.move(DEMO / "cohort" / name, DEMO / "held_out" / name)
    print(f"{CASES} phantoms in {DEMO}, {HELD_OUT} of them held out")
    unet_bundles(
        "train", "unet3d", "--data", "demo/cohort", "--output", "demo/run", "--set", *SETTINGS
    )
    scores = segment_held_out("demo/run")
    draw()
    compare_with_threshold(scores, names[-HELD_OUT:])


def on_hippocampi(data: Path) -> None:
    """Segment the decathlon cases that the trained bundle was not trained on."""
    trained_on = json.loads((TRAINED / "split.json").read_text())["train"]
    dataset = json.loads((data / "dataset.json").read_text())
    dataset["training"] = [
        entry
        for entry in dataset["training"]
        if Path(entry["image"]).name.split(".")[0] not in trained_on
    ]
    held_out = DEMO / "held_out"
    held_out.mkdir(parents=True)
    for folder in ("imagesTr", "labelsTr"):
        (held_out / folder).symlink_to(data / folder)
    (held_out / "dataset.json").write_text(json.dumps(dataset))
    print(f"{len(dataset['training'])} cases that the network never saw")
    segment_held_out(str(TRAINED))
    draw()


def segment_held_out(bundle: str) -> dict:
    """Segment and score the cases in ``demo/held_out``."""
    unet_bundles("segment", bundle, "--images", "demo/held_out", "--output", "demo/predictions")
    scores = "demo/scores.json"
    arguments = ("--predictions", "demo/predictions", "--references", "demo/held_out")
    unet_bundles("evaluate", *arguments, "--output", scores)
    return json.loads(Path(scores).read_text())


def draw() -> None:
    """Image, reference and prediction of each held-out case, in three planes."""
    given = ("--predictions", "demo/predictions", "--references", "demo/held_out")
    unet_bundles("picture", "--images", "demo/held_out", *given, "--output", "demo/pictures")


def unet_bundles(*arguments: str) -> None:
    """Run the command as a user would."""
    print("unet-bundles", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "pipeline", *arguments], check=True)


def compare_with_threshold(scores: dict, names: list[str]) -> None:
    """Print the mean Dice of the network beside that of a threshold on one modality.

    The threshold is the best of many for these very cases, so the baseline is generous. The demo
    fails where the network does not beat it, or stays below ``LEAST_DICE``.
    """
    sources = {"TC": ("t1c", (1, 3)), "WT": ("t2f", (1, 2, 3)), "ET": ("t1c", (3,))}
    poor = []
    print("mean Dice     network  threshold on one modality")
    for region, (modality, values) in sources.items():
        network = scores["summary"][region]["dice"]["mean"]
        baseline = best_threshold(names, modality, values)
        print(f"{region:12}  {network:7.3f}  {baseline:.3f} ({modality})")
        if network < max(LEAST_DICE, baseline):
            poor.append(region)
    if poor:
        sys.exit(f"scripts/demo: the network is worse than it should be at {', '.join(poor)}")


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


if __name__ == "__main__":
    main()
