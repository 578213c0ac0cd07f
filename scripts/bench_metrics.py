"""Measure the metrics beside MONAI and surface-distance, on real cases.

    python scripts/bench_metrics.py DIR [--predictions DIR] [--cases 3] [--repeat 1]

DIR is a BraTS cohort as ``unet-bundles evaluate`` takes it. Predictions of one's own are
``<case>.nii.gz`` in the labels of DIR; without them each is the reference, its rim blurred by noise
of a fixed seed. Printed are processor seconds of one thread for every case and its three regions:

- ours: every number of the table, lesions included;
- surfaces: of these HD95, HD and ASSD alone, as MONAI defines them;
- monai: HD95, HD and ASSD, by its compute functions;
- surface-distance: the normalised surface Dice.

Then follow the ratios, and the largest difference of a number, relative where it is above 1.
"""

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from time import thread_time
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
import surface_distance
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.bundles import find_bundle
from pipeline.data.cohorts import find_labels
from pipeline.data.conventions import told_by_values
from pipeline.data.labels import read_labels
from pipeline.evaluation import score_case
from pipeline.evaluation.distances import crop, rim_distances

Mask = NDArray[np.bool_]


class Pair(NamedTuple):
    """A region as predicted and as it is, and mm per voxel."""

    predicted: Mask
    true: Mask
    spacing: tuple[float, ...]


def ours(pair: Pair) -> list[float]:
    """HD95, HD, ASSD and NSD out of all that a row holds."""
    scores = score_case(*pair)
    return [scores.hd95_mm, scores.hd_mm, scores.assd_mm, scores.nsd]


def surfaces(pair: Pair) -> list[float]:
    """HD95, HD and ASSD alone."""
    distances = rim_distances(*crop(pair.predicted, pair.true), pair.spacing)
    return [distances.hd95_mm, distances.hd_mm, distances.assd_mm]


def by_monai(pair: Pair) -> list[float]:
    """HD95, HD and ASSD."""
    masks = [torch.from_numpy(mask)[None, None] for mask in pair[:2]]
    options: dict[str, Any] = {"include_background": True, "spacing": pair.spacing}
    return [
        compute_hausdorff_distance(*masks, percentile=95, **options).item(),
        compute_hausdorff_distance(*masks, **options).item(),
        compute_average_surface_distance(*masks, symmetric=True, **options).item(),
    ]


def by_surface_distance(pair: Pair) -> list[float]:
    """NSD at 1 mm."""
    distances = surface_distance.compute_surface_distances(pair.true, pair.predicted, pair.spacing)
    return [surface_distance.compute_surface_dice_at_tolerance(distances, 1.0)]


def perturbed(mask: Mask, seed: int) -> Mask:
    """The region with another rim: smoothed, and moved by noise where it is neither in nor out."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=mask.shape), 2)
    smooth = ndimage.gaussian_filter(mask.astype(np.float32), 1.5)
    return (smooth + noise / noise.std() * 0.15 > 0.5) & (smooth > 0.05)


def timed(
    work: Callable[[Pair], list[float]], pair: Pair, repeat: int
) -> tuple[float, list[float]]:
    """The least processor time of this thread, and what came out."""
    times = []
    for _ in range(repeat):
        started = thread_time()
        numbers = work(pair)
        times.append(thread_time() - started)
    return min(times), numbers


def difference(numbers: list[float], others: list[float]) -> float:
    """The largest difference, relative where a number is above 1."""
    pairs = zip(numbers, others, strict=True)
    return max(abs(number - other) / max(1.0, abs(other)) for number, other in pairs)


def pairs(data: Path, predictions: Path | None, num_cases: int) -> dict[str, list[Pair]]:
    """Case: its three regions."""
    task = find_bundle("unet3d").task
    labels, convention = find_labels(data, None)
    convention = convention or told_by_values(labels.values(), task, data)
    values = task.target_values(convention)
    found = {}
    for case, path in sorted(labels.items())[:num_cases]:
        volume = read_labels(path, task, convention)
        true = [np.isin(volume.array, values[region]) for region in task.targets]
        predicted = [perturbed(mask, seed) for seed, mask in enumerate(true)]
        if predictions is not None:
            own = np.asarray(nib.load(predictions / f"{case}.nii.gz").dataobj)
            predicted = [np.isin(own, values[region]) for region in task.targets]
        found[case] = [
            Pair(*masks, volume.spacing)
            for masks in zip(predicted, true, strict=True)
            if all(mask.any() for mask in masks)
        ]
    return found


def main() -> None:
    """Measure every case, then print ratios and differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--predictions", type=Path)
    parser.add_argument("--cases", type=int, default=3)
    parser.add_argument("--repeat", type=int, default=1)
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # both libraries call what numpy, scipy or MONAI deprecate
    torch.set_num_threads(1)
    works = (ours, surfaces, by_monai, by_surface_distance)
    totals = np.zeros(len(works))
    worst_monai = worst_surface_distance = 0.0
    print(
        f"{'case':30}" + "".join(f"{name:>9}" for name in ("ours", "surfaces", "monai", "s.-dist."))
    )
    for case, regions in pairs(given.data, given.predictions, given.cases).items():
        seconds = np.zeros(len(works))
        for pair in regions:
            results = [timed(work, pair, given.repeat) for work in works]
            seconds += [time for time, _ in results]
            whole, ours_alone, monai, theirs = (numbers for _, numbers in results)
            worst_monai = max(
                worst_monai, difference(whole[:3], monai), difference(ours_alone, monai)
            )
            worst_surface_distance = max(worst_surface_distance, difference(whole[3:], theirs))
        totals += seconds
        print(f"{case:30}" + "".join(f"{time:9.3f}" for time in seconds))
    print(f"monai / surfaces: {totals[2] / totals[1]:.1f} times")
    print(f"monai / ours (all numbers): {totals[2] / totals[0]:.1f} times")
    print(f"(monai + surface-distance) / ours: {totals[2:].sum() / totals[0]:.1f} times")
    print(
        f"largest difference from MONAI {worst_monai:.1e}, "
        f"from surface-distance {worst_surface_distance:.1e}"
    )


if __name__ == "__main__":
    main()
