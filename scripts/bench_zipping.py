"""Measure zipping and unzipping of volumes by isal, as this project does it, beside zlib.

    python scripts/bench_zipping.py DIR [--repeat 5]

DIR holds BraTS cases with labels, of which the first is taken. Printed are processor milliseconds,
the least of several repeats, and the size of what was zipped.
"""

import argparse
import gzip
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
from isal import igzip

from pipeline.bundles import find_bundle
from pipeline.data.cohorts import find_cohort
from pipeline.data.volumes import read_volume
from pipeline.data.zipping import zipped


def main() -> None:
    """Measure one case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--repeat", type=int, default=5)
    given = parser.parse_args()
    case = find_cohort(given.data, find_bundle("unet3d").task).cases[0]
    files = [path.read_bytes() for path, _ in case.images]
    for name, unzip in (("zlib", gzip.decompress), ("isal", igzip.decompress)):
        spent = sum(milliseconds(partial(unzip, file), given.repeat) for file in files)
        print(f"unzipping {len(files)} images, {name}: {spent:.0f} ms")
    image = read_volume(case.images[0][0]).array
    scores = np.where(image == 0, 0, (image - image.mean()) / image.std())
    volumes = {
        "label map, uint8": read_volume(case.label).array.astype(np.uint8),
        "probabilities, float32": (1 / (1 + np.exp(-scores))).astype(np.float32),
        "image, int16": image.astype(np.int16),
    }
    print("| | zlib 6 | isal 1 |\n|---|---|---|")
    for name, array in volumes.items():
        content = array.tobytes(order="F")
        by_zlib = partial(gzip.compress, content, 6)
        cells = [
            f"{milliseconds(zip_, given.repeat):.0f} ms, {len(zip_()) / 2**10:.0f} KiB"
            for zip_ in (by_zlib, partial(by_isal, content))
        ]
        print(f"| {name}, {len(content) / 1e6:.1f} MB | {' | '.join(cells)} |")


def by_isal(content: bytes) -> bytes:
    """``content`` as the project's files are zipped."""
    return b"".join(zipped(io.BytesIO(content)))


def milliseconds(work: Callable[[], Any], repeat: int) -> float:
    """The least processor time of ``repeat`` calls."""
    times = []
    for _ in range(repeat):
        started = process_time()
        work()
        times.append(process_time() - started)
    return 1000 * min(times)


if __name__ == "__main__":
    main()
