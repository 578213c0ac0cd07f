"""Measure what admission costs beyond reading a case.

    python scripts/bench_admission.py DIR [--repeat 3]

DIR is a cohort as ``unet-bundles check`` takes it, with the modalities of the bundle unet3d.
Printed is, a case: seconds to read its files to their ends, seconds to read and check them, and
what the checks cost as a fraction of the reading; the target is 0.3 or less.
"""

import argparse
import statistics
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

from pipeline.bundles import find_bundle
from pipeline.data.admission import admit
from pipeline.data.cohorts import find_cohort
from pipeline.data.volumes import Volume, read_volume


def read_all(files: Iterable[Path]) -> list[Volume]:
    """Every file in memory, nothing looked at."""
    return [read_volume(path) for path in files]


def seconds(work: Callable[[], Any], repeat: int) -> float:
    """The least processor time of ``repeat`` calls, which neighbours do not change."""
    times = []
    for _ in range(repeat):
        started = process_time()
        work()
        times.append(process_time() - started)
    return min(times)


def main() -> None:
    """Measure every case, then print the median ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    task = find_bundle("unet3d").task
    cohort = find_cohort(given.data, task)
    ratios = []
    print(f"{'case':30}  read s  admit s  ratio")
    for case in cohort.cases:
        files = {path for path, _ in case.images} | {case.label} - {None}
        reading = seconds(partial(read_all, files), given.repeat)
        admitting = seconds(partial(admit, case, task, cohort.convention), given.repeat)
        ratios.append(admitting / reading - 1)
        print(f"{case.name:30}  {reading:6.3f}  {admitting:7.3f}  {ratios[-1]:5.2f}")
    print(f"median {statistics.median(ratios):.2f}, worst {max(ratios):.2f} of {len(ratios)} cases")


if __name__ == "__main__":
    main()
