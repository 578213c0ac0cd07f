"""Whether a case can be used: every file whole and sane, all on one grid, the label on theirs.

Files are read once: what ``read_case`` gives is checked in memory and then used.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import grids
from pipeline.data import pixels
from pipeline.data.cohorts import Case
from pipeline.data.findings import FileUserError, Finding, refusal, refuse, shown
from pipeline.data.labels import read_labels
from pipeline.data.volume_checks import check_grid, check_values, constant, identical
from pipeline.data.volumes import Volume, read_volume
from pipeline.errors import UserError
from pipeline.tasks import Task

_RESAMPLE = {
    "different-grids": "resample them onto one grid, or add --align",
    "label-grid": "resample them onto one grid",
}
"""The remedy, by code."""


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
        array = self.volume.array.reshape(*self.volume.array.shape[:3], -1, order="A")
        count = array.shape[3]
        if self.channel is None and count > 1:
            what = f"holds {count} channels, not one image"
            raise refusal("channels", self.path, what, "give one file a modality")
        if self.channel is not None and self.channel >= count:
            what = f"holds {count} channels, and number {self.channel} was asked for"
            raise refusal("channels", self.path, what, "count channels from 0")
        image: NDArray[Any] = array[..., self.channel or 0]
        return image


@dataclass(frozen=True)
class LoadedCase:
    """A case in memory.

    Args:
        name: of the case.
        images: in the order of the task's modalities.
        label: (H, W, D) of known values, or None.
        label_path: its file.
        to_be_aligned: whether the images may be on different grids.
        warnings: findings that a person should look at.
    """

    name: str
    images: tuple[Image, ...]
    label: Volume | None = None
    label_path: Path | None = None
    to_be_aligned: bool = False
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
    yield from _grids(case)
    for path, volume in {image.path: image.volume for image in case.images}.items():
        if not pixels.is_image(path):
            yield from check_grid(path, volume)
    for image in case.images:
        yield from check_values(image.path, image.array)
    yield from _content(case)
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
        label = read_labels(case.label, task, convention)
    return LoadedCase(case.name, images, label, case.label, case.align is not None)


def _grids(case: LoadedCase) -> Iterator[Finding]:
    first, *others = ((image.path, image.volume) for image in case.images)
    for path, volume in () if case.to_be_aligned else others:
        yield from _same_grid("different-grids", first, path, volume)
    if case.label is not None and case.label_path is not None:
        yield from _same_grid("label-grid", first, case.label_path, case.label)


def _same_grid(
    code: str, first: tuple[Path, Volume], path: Path, volume: Volume
) -> Iterator[Finding]:
    first_shape, shape = first[1].array.shape[:3], volume.array.shape[:3]
    if shape != first_shape:
        yield Finding(
            code,
            path,
            f"{shown(path)} has shape {shape} and {shown(first[0])} has {first_shape}: "
            f"{_RESAMPLE[code]}",
        )
    elif not grids.same_grid(first_shape, first[1].affine, shape, volume.affine):
        yield Finding(
            code,
            path,
            f"{shown(path)} and {shown(first[0])} differ in their affine: {_RESAMPLE[code]}",
        )


def _content(case: LoadedCase) -> Iterator[Finding]:
    if not any(image.array.any() for image in case.images):
        path = case.images[0].path
        yield Finding(
            "empty-case",
            path,
            f"case {case.name} is zero in every voxel of {shown(path)} and of its other images: "
            "copy them again from their source",
        )
    for image, other in combinations(case.images, 2):
        if identical(image.array, other.array):
            yield Finding(
                "identical-images",
                other.path,
                f"{_named(other)} has the voxels of {_named(image)}: give each modality its own",
            )


def _named(image: Image) -> str:
    number = "" if image.channel is None else f" channel {image.channel}"
    return f"{shown(image.path)}{number}"


def _label_outside(case: LoadedCase, label: NDArray[Any], path: Path) -> Iterator[Finding]:
    """Compare the label with the background of the images.

    The background of an image is the value that its eight corners share; where one has none (a
    crop), nothing can be said, and an image of one value says nothing.
    """
    labelled = np.flatnonzero(label.reshape(-1, order="F"))
    outside = np.ones(labelled.size, bool)
    images = [image for image in case.images if not constant(image.array)]
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
