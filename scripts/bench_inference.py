"""Measure segmentation beside MONAI and nnU-Net: the same case, network and weights.

    python scripts/bench_inference.py --data DIR                      # one case, fresh processes
    python scripts/bench_inference.py --data DIR --warm               # a case more in one process
    python scripts/bench_inference.py --data DIR --cohort 10          # ten cases, files to files
    python scripts/bench_inference.py --data DIR --matrix --mirror    # share of the machine's peak
    python scripts/bench_inference.py --growth --large                # synthetic volumes

DIR holds BraTS cases with labels. Contenders take turns, round after round; printed are medians,
their spread, and ratios to ours. Peak memory is the proportional set size (PSS) of the tree of
processes, looked at every 50 ms, or less often where a look takes more than a twentieth of that.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from benchmark.growth import measure_growth, measure_large
from benchmark.machine import machine
from benchmark.one_case import Study, measure_cohort, measure_once, measure_warm
from benchmark.plots import draw

from pipeline.bundles import find_bundle
from pipeline.data.cohorts import find_cohort

DOCS = Path(__file__).resolve().parent.parent / "docs"
NETWORKS = ("segresnet", "unet3d", "no_new_net", "resnet_vae")


def main() -> None:
    """Measure what was asked for."""
    given = arguments()
    print(f"{' '.join(['python', *sys.argv])}\n{machine()}\n", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        work = (given.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        os.environ["UNET_BUNDLES_CACHE"] = str(work / "cache")
        if given.growth:
            rows = measure_growth(work, given.only)
            for quantity, unit in (("time", "s"), ("memory", "GB")):
                draw(rows, quantity, unit, DOCS / f"growth_{quantity}.png")
        if given.large:
            measure_large(work, given.only)
        for name in given.networks if given.data else ():
            measure(name, given, work / name)


def measure(name: str, given: argparse.Namespace, work: Path) -> None:
    """Measure one network on real cases."""
    cases = find_cohort(given.data, find_bundle("unet3d").task).cases
    chosen = sorted(cases, key=lambda case: case.name != given.case)
    work = work / chosen[0].name
    work.mkdir(parents=True, exist_ok=True)
    study = Study(name, chosen, given.data, work, given.only, given.rounds, given.device)
    print(f"## {name}, {chosen[0].name}", flush=True)
    if given.cohort:
        measure_cohort(study, given.cohort)
    elif given.warm:
        measure_warm(study)
    else:
        measure_once(study, given.matrix, given.mirror)


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--case", help="its name; the first if not given")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[""], help="part of contenders' names")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--warm", action="store_true")
    parser.add_argument("--cohort", type=int, metavar="N")
    parser.add_argument("--matrix", action="store_true")
    parser.add_argument("--mirror", action="store_true")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--large", action="store_true", help="512x512x800, 25 classes")
    parser.add_argument("--work", type=Path, help="a folder that keeps bundles and conversions")
    return parser.parse_args()


if __name__ == "__main__":
    main()
