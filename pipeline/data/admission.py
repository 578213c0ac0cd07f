"""Whether a case can be used: every file whole and sane, all on one grid, the label on theirs.

Files are read once: what ``read_case`` gives is checked in memory and then used.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.case_checks import (
    channel_of,
    check_images,
    check_one_grid,
    check_overlap,
    check_same_grid,
)
from pipeline.data.cases import Case
from pipeline.data.channels import ArrayChannel, Channel, Facts
from pipeline.data.findings import FileUserError, Finding, refuse, shown
from pipeline.data.labels import read_labels
from pipeline.data.volumes import Volume, read_volume
from pipeline.errors import UserError
from pipeline.tasks import Task


@dataclass(frozen=True)
class Image:
    """One modality of a case.

    Args:
        path: of its file.
        volume: the whole file.
        channel: of a file of several, else None.
    """

    path: Path
    volume: Volume
    channel: int | None

    @cached_property
    def array(self) -> NDArray[Any]:
        """(H, W, D).

        Raises:
            FileUserError: the file has several channels and none is named, or not that one.
        """
        shape = self.volume.shape
        array = self.volume.array.reshape(*shape[:3], -1, order="A")
        image: NDArray[Any] = array[..., channel_of(self.path, shape, self.channel)]
        return image

    @property
    def voxels(self) -> Channel:
        """The same, by planes."""
        return ArrayChannel(self.array)

    @cached_property
    def facts(self) -> Facts:
        """What the voxels say of the image."""
        return Facts.of(self.array)


@dataclass(frozen=True)
class LoadedCase:
    """A case in memory.

    Args:
        name: of the case.
        images: in the order of the task's modalities.
        label: (H, W, D) of known values, or None.
        label_path: its file.
        align: how images on different grids are brought together (see
            ``pipeline.data.cases.Align``), or None.
        warnings: findings that a person should look at.
    """

    name: str
    images: tuple[Image, ...]
    label: Volume | None = None
    label_path: Path | None = None
    align: str | None = None
    warnings: tuple[Finding, ...] = ()


def admit(case: Case, task: Task, convention: str | None) -> LoadedCase:
    """The files of ``case``, each read once, if all can be used.

    Raises:
        FileUserError: one is refused.
    """
    loaded = read_case(case, task, convention)
    found = list(examine(loaded))
    refuse(found)
    return replace(loaded, warnings=tuple(found))


def findings(case: Case, task: Task, convention: str | None) -> list[Finding]:
    """Everything to be said of a case; if files cannot be read, only that, of each."""
    volumes, errors = _volumes(case)
    if errors:
        return [error.finding for error in errors]
    try:
        return list(examine(_loaded(case, volumes, task, convention)))
    except FileUserError as error:
        return [error.finding]


def read_case(case: Case, task: Task, convention: str | None) -> LoadedCase:
    """The files of ``case``, each read once.

    Args:
        case: whose label is left out if its ``label`` is None.
        task: whose values a label has.
        convention: of these values; None takes those of any convention of the task.

    Raises:
        FileUserError: a file cannot be read, or the label has values that are not known.
    """
    volumes, errors = _volumes(case)
    for error in errors:
        raise error
    return _loaded(case, volumes, task, convention)


def examine(case: LoadedCase) -> Iterator[Finding]:
    """What is to be said of a case in memory.

    Raises:
        FileUserError: a file has several channels, or not the one that is asked for.
    """
    if case.align is None:
        yield from check_one_grid(case.images)
    elif case.align == "grid":
        yield from check_overlap(case.images)
    if case.label is not None and case.label_path is not None:
        yield from check_same_grid("label-grid", case.images[0], case.label_path, case.label)
    yield from check_images(case.name, case.images)
    if case.label is not None and case.label_path is not None:
        yield from _label_outside(case, case.label.array, case.label_path)


def _volumes(case: Case) -> tuple[dict[Path, Volume], list[FileUserError]]:
    """The images' files that can be read, and what is wrong with the others."""
    volumes: dict[Path, Volume] = {}
    errors = []
    for path in dict.fromkeys(path for path, _ in case.images):
        try:
            volumes[path] = read_volume(path)
        except FileUserError as error:
            errors.append(error)
        except UserError as error:
            errors.append(FileUserError(str(error), "unreadable-image", path))
    return volumes, errors


def _loaded(
    case: Case, volumes: Mapping[Path, Volume], task: Task, convention: str | None
) -> LoadedCase:
    images = tuple(Image(path, volumes[path], channel) for path, channel in case.images)
    label = None
    if case.label is not None:
        try:
            label = read_labels(case.label, task, convention)
        except FileUserError:
            raise
        except UserError as error:
            raise FileUserError(str(error), "unreadable-image", case.label) from error
    how = None if case.align is None else case.align.how
    return LoadedCase(case.name, images, label, case.label, how)


def _label_outside(case: LoadedCase, label: NDArray[Any], path: Path) -> Iterator[Finding]:
    """Compare the label with the background of the images, if all are on one grid.

    The background of an image is the value that its eight corners share; where one has none (a
    crop), nothing can be said, and an image of one value says nothing.
    """
    labelled = np.flatnonzero(label.reshape(-1, order="F") != 0)  # fast on truth values
    outside = np.ones(labelled.size, bool)
    images = [image for image in case.images if not image.facts.constant]
    if case.align is not None and any(check_one_grid(case.images)):
        return
    for image in images:
        background = _background(image.array)
        if background is None or image.array.shape != label.shape:
            return
        outside &= image.array.reshape(-1, order="F")[labelled] == background
    count = int(np.count_nonzero(outside)) if images else 0
    if count:
        most = 2 * count > labelled.size
        yield Finding(
            "label-outside" if most else "label-partly-outside",
            path,
            f"{shown(path)} has {count} of its {labelled.size} labelled voxels where every image "
            "is background: check that it belongs to this case",
        )


def _background(image: NDArray[Any]) -> Any:
    corners = np.unique(image[np.ix_(*([0, size - 1] for size in image.shape))])
    return corners[0] if len(corners) == 1 else None
