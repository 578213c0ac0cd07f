"""Windows of real cases, by which the ranges of 8-bit numbers are found."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.data.cases import Case
from pipeline.data.slabs import opened
from pipeline.errors import UserError
from pipeline.inference.backends.backend import Array
from pipeline.inference.engine import blended
from pipeline.inference.plan import Extent
from pipeline.inference.preparing import prepare
from pipeline.inference.segmentation import Segmenter


def calibration_windows(
    segmenter: Segmenter, cases: Sequence[Case], count: int, folder: Path
) -> list[Path]:
    """Some of the windows that the network of ``segmenter`` sees of ``cases``, (1, C, *S) each.

    Args:
        segmenter: of one member.
        cases: among which the windows are shared out.
        count: windows at most, spread evenly over each volume.
        folder: where they are written.

    Returns:
        Files that ``numpy.load`` reads.

    Raises:
        UserError: a file of a case cannot be used, or there is nothing but zeros in all of them.
    """
    recorder = _Recorder(folder, segmenter.task.out_channels)
    for number, case in enumerate(cases):
        share = len(range(number, count, len(cases)))
        path = folder / "image"
        with opened(case, segmenter.task, folder, segmenter.limit.in_memory) as files:
            prepared = prepare(files.channels, files.affine, segmenter.recipes[0], path)
        (plan,) = segmenter.plans([prepared])
        some = replace(plan, starts=_spread(plan.starts, share))
        axis = prepared.grid.slab_axis
        for _ in blended(prepared.image, some, axis, recorder, segmenter.task.out_channels, 1):
            pass
        prepared.image.close()
    if not recorder.files:
        raise UserError(f"nothing but zeros in {cases[0].name}: give cases with something in them")
    return recorder.files


def _spread(starts: Sequence[Extent], count: int) -> tuple[Extent, ...]:
    """At most ``count`` of ``starts``, evenly spread, from the middles of as many parts."""
    count = min(count, len(starts))
    return tuple(starts[(2 * index + 1) * len(starts) // (2 * count)] for index in range(count))


class _Recorder:
    """Stands in for a network, to keep the windows that it would see."""

    def __init__(self, folder: Path, out_channels: int) -> None:
        self.folder = folder
        self.out_channels = out_channels
        self.files: list[Path] = []

    def __call__(self, images: Array) -> Array:
        self.files.append(self.folder / f"window{len(self.files)}.npy")
        np.save(self.files[-1], images)
        return np.zeros((len(images), self.out_channels, *images.shape[2:]), np.float32)
