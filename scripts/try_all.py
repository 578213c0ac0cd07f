"""Try every bundle on real cases through monai.bundle run: train, evaluate, segment.

Small networks at 2 mm, so that all of them train on two cores. Prints a table in Markdown.
"""

import argparse
import csv
import json
import os
import re
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

import nibabel as nib
import numpy as np
from monai.bundle import run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

ROOT = Path(__file__).parents[1]
SMALL = {
    "fcn": {"network_def::features": [8, 16, 32, 32, 32, 64]},
    "unet2d": {"network_def::features": [8, 16, 32, 64, 128]},
    "unet3d": {"network_def::features": [8, 16, 32, 64]},
    "vnet": {"network_def::features": [4, 8, 16, 32, 64], "optimizer::lr": 1e-3},
    "unetplusplus": {"network_def::features": [8, 16, 32, 64, 128]},
    "unet3plus": {"network_def::features": [8, 16, 32, 64, 128]},
    "resunetplusplus": {"network_def::features": [8, 16, 32, 64, 128], "optimizer::lr": 1e-3},
    "no_new_net": {"network_def::features": [8, 16, 32, 64, 128]},
    "resnet_vae": {"network_def::features": [8, 16, 32, 64]},
    "multiresunet": {"network_def::features": [8, 16, 32, 64, 128]},
    "u2net": {"network_def::features": [8, 16, 32, 64, 128, 256]},
}
SMALL_DOMAINS = {
    "domains::brats::spacing": [2.0, 2.0, 2.0],
    "domains::brats::patch_size": [64, 64, 64],
    "domains::hippocampus::patch_size": [32, 32, 32],
}
PATCH = {2: [96, 96], 3: [64, 64, 64]}  # voxels of 2 mm
MARK = ".try_all"  # of the folders that this script may delete


def main() -> None:
    """Try the bundles that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of BraTS cases")
    parser.add_argument("--hippocampus", type=Path, help="decathlon folder, for u2net")
    parser.add_argument("--bundles", nargs="+", default=list(SMALL))
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--cases", type=int, default=5, help="the last of which is held out")
    parser.add_argument("--output", type=Path, default=Path("runs/try_all"))
    options = parser.parse_args()
    if "u2net" in options.bundles and options.hippocampus is None:
        parser.error("u2net trains on two domains: add --hippocampus DIR, or name other --bundles")
    heading = ("bundle", "iterations/s", "peak memory (GiB)", "loss", "TC", "WT", "ET")
    print(f"| {' | '.join(heading)} |\n|{'---|' * len(heading)}", flush=True)
    fell = [try_bundle(name, options) for name in options.bundles]
    sys.exit(0 if all(fell) else 1)


def try_bundle(name: str, options: argparse.Namespace) -> bool:
    """Train, evaluate and segment; print a row, and tell whether the loss fell."""
    home = options.output.resolve() / name
    if home.exists() and not (home / MARK).is_file():
        sys.exit(f"{home} has no {MARK}: remove it, or choose another --output")
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home / MARK).touch()
    run_, bundle = home / "run", ROOT / "bundles" / name
    data, held_out = cases(options, home, two_domains=name == "u2net")
    config = (bundle / "configs/train.yaml").read_text()
    dims = int(re.search(r"^spatial_dims: (\d)", config, re.MULTILINE)[1])
    memory = monai_bundle(
        "run",
        config_file=bundle / "configs/train.yaml",
        bundle_root=bundle,
        dataset_dir=data,
        output_dir=run_,
        split_file=home / "split.json",
        max_epochs=options.epochs,
        val_interval=options.epochs,
        **SMALL[name],
        **(SMALL_DOMAINS if name == "u2net" else small_grid(dims)),
    )
    trained = {"bundle_root": run_, "dataset_dir": data}
    monai_bundle("evaluate", config_file=run_ / "configs/train.yaml", **trained)
    monai_bundle(
        "run",
        config_file=run_ / "configs/inference.yaml",
        bundle_root=run_,
        dataset_dir=held_out,
        output_dir=home / "predictions",
    )
    check_grid(home / "predictions", held_out)
    speed, start, end = curve(run_)
    dice = " | ".join(f"{scores(run_, region):.3f}" for region in ("TC", "WT", "ET"))
    row = f"| {name} | {speed:.2f} | {memory:.1f} | {start:.3f} → {end:.3f} | {dice} |"
    print(row, flush=True)
    return end < start or options.epochs == 1


def small_grid(dims: int) -> dict[str, object]:
    """The working grid of a single-domain bundle."""
    return {"spacing": [2.0, 2.0, 2.0], "patch_size": PATCH[dims]}


def cases(options: argparse.Namespace, home: Path, two_domains: bool) -> tuple[Path, Path]:
    """Links to the first cases and to the held-out one, and the file of their split."""
    names = sorted(path.name for path in options.data.iterdir() if path.is_dir())[: options.cases]
    root, held_out = home / "data", home / "held_out"
    brats = root / "brats" if two_domains else root
    link(options.data, names, brats)
    link(options.data, names[-1:], held_out)
    split = {"train": names[:-1], "validation": names[-1:]}
    if two_domains:
        (root / "hippocampus").symlink_to(options.hippocampus.resolve())
        listed = json.loads((options.hippocampus / "dataset.json").read_text())["training"]
        more = sorted(Path(entry["image"]).name.split(".")[0] for entry in listed)
        split["train"] += more[1 : options.cases]
        split["validation"] += more[:1]
    (home / "split.json").write_text(json.dumps(split))
    return root, held_out


def link(source: Path, names: list[str], target: Path) -> None:
    """Make ``target`` a cohort of the cases ``names`` of ``source``."""
    target.mkdir(parents=True)
    for name in names:
        (target / name).symlink_to((source / name).resolve())


def monai_bundle(verb: str, **settings: object) -> float:
    """Run MONAI's command in a process of its own; gives the peak memory of it in GiB."""
    values = {
        key: str(value) if isinstance(value, Path) else value for key, value in settings.items()
    }
    with tempfile.TemporaryFile("w+") as log:
        process = os.fork()  # MONAI is imported once
        if process == 0:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            try:
                run(verb, num_workers=0, **values)
            except BaseException:
                traceback.print_exc(file=log)
                log.flush()
                os._exit(1)
            os._exit(0)
        _, status, usage = os.wait4(process, 0)
        if status:
            log.seek(0)
            sys.exit(f"{verb} {values}\n{log.read()[-3000:]}")
    return usage.ru_maxrss / 2**20


def curve(run: Path) -> tuple[float, float, float]:
    """Iterations per second, mean loss of the first and of the last epoch."""
    events = EventAccumulator(str(run / "curves"))
    events.Reload()
    losses = events.Scalars("loss/total")
    epochs = max(1, len(events.Scalars("learning_rate")))
    length = max(1, len(losses) // epochs)
    seconds = losses[-1].wall_time - losses[0].wall_time
    start, end = (
        np.mean([event.value for event in part]) for part in (losses[:length], losses[-length:])
    )
    return (len(losses) - 1) / max(seconds, 1e-9), float(start), float(end)


def scores(run: Path, region: str) -> float:
    """Mean Dice of a region over the held-out cases."""
    rows = csv.DictReader((run / "evaluation/scores.csv").read_text().splitlines())
    return float(np.mean([float(row["dice"]) for row in rows if row["region"].endswith(region)]))


def check_grid(predictions: Path, held_out: Path) -> None:
    """End where a prediction does not lie on the grid of its case."""
    (prediction,) = predictions.glob("*.nii.gz")
    case = held_out / prediction.name.removesuffix(".nii.gz")
    image = nib.load(min(path for path in case.iterdir() if "seg" not in path.name))
    found = nib.load(prediction)
    if found.shape != image.shape or not np.array_equal(found.affine, image.affine):
        sys.exit(f"{prediction} is not on the grid of {case}")


if __name__ == "__main__":
    began = time.monotonic()
    try:
        main()
    finally:
        print(f"\n{time.monotonic() - began:.0f} s", file=sys.stderr)
