"""The images of a case, admitted, by planes: from memory where they fit, else from their files."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.admission import admit
from pipeline.data.case_checks import check_images, check_one_grid
from pipeline.data.cases import Case
from pipeline.data.channels import ArrayChannel
from pipeline.data.channels import Channel as Channel
from pipeline.data.findings import FileUserError, Finding, refuse
from pipeline.data.limits import Limits
from pipeline.data.nifti_files import read_layout
from pipeline.data.streaming import StreamedImage, StreamedVolume, streamed
from pipeline.data.volumes import is_nifti
from pipeline.tasks import Task


@dataclass(frozen=True)
class SlabCase:
    """The images of a case that can be used.

    Args:
        channels: (H, W, D) each, in the order of the task's modalities.
        header: of the first, as nibabel holds it.
        affine: (4, 4), from voxel indices to millimetres (RAS).
        warnings: findings that a person should look at.
    """

    channels: tuple[Channel, ...]
    header: Any
    affine: NDArray[np.float64]
    warnings: tuple[Finding, ...]


@contextmanager
def opened(
    case: Case, task: Task, folder: Path, in_memory: int | None = None
) -> Iterator[SlabCase]:
    """The images of ``case``, to be asked for planes as long as the context lasts.

    Args:
        case: whose label is not looked at.
        task: names the images.
        folder: where what a zip holds is kept meanwhile if the case is too large for memory.
        in_memory: bytes that the case may take while it is read; None sets no bound.

    Raises:
        UserError: the case is refused by ``pipeline.data.admission``, or cannot be aligned.
    """
    case = replace(case, label=None)
    if _fits(case, in_memory):
        yield _in_memory(case, task)
        return
    with ExitStack() as files:
        paths = dict.fromkeys(path for path, _ in case.images)
        volumes = {path: files.enter_context(streamed(path, folder)) for path in paths}
        yield _on_disk(case, volumes)


def _fits(case: Case, in_memory: int | None) -> bool:
    """Whether ``case`` is read into memory, as what cannot be streamed always is."""
    paths = {path for path, _ in case.images}
    if in_memory is None or case.align is not None or not all(map(is_nifti, paths)):
        return True
    limits, num_bytes = Limits.in_force(), 0
    for path in paths:
        with suppress(FileUserError):  # which reading the file tells
            layout = read_layout(path)
            num_bytes += layout.num_bytes_read if layout.fits(limits) else sys.maxsize
    return num_bytes <= in_memory


def _in_memory(case: Case, task: Task) -> SlabCase:
    loaded = admit(case, task, None)
    if case.align is not None:
        from pipeline.data.alignment import aligned

        loaded = aligned(loaded, case.align, task)
    volume = loaded.images[0].volume
    channels = tuple(ArrayChannel(image.array) for image in loaded.images)
    return SlabCase(channels, volume.header, volume.affine, loaded.warnings)


def _on_disk(case: Case, volumes: Mapping[Path, StreamedVolume]) -> SlabCase:
    images = [StreamedImage(path, volumes[path], channel) for path, channel in case.images]
    found = [*check_one_grid(images), *check_images(case.name, images)]
    refuse(found)
    channels = tuple(image.voxels for image in images)
    return SlabCase(channels, images[0].volume.header, images[0].volume.affine, tuple(found))
