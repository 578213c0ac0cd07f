"""What a report shows of one case: its volumes, a picture, and numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.cases import Case
from pipeline.data.labels import read_labels
from pipeline.data.volumes import Volume, read_volume
from pipeline.errors import UserError
from pipeline.evaluation.cohort import prediction_file
from pipeline.evaluation.report.embedding import (
    Placed,
    common_box,
    stride_for,
    write_image,
    write_label_map,
)
from pipeline.evaluation.report.sources import Sources
from pipeline.evaluation.report.thumbnails import write_picture
from pipeline.grids import same_grid
from pipeline.pictures import PALETTE
from pipeline.tasks import Task


@dataclass(frozen=True)
class Shown:
    """A case that has a page.

    Args:
        name: of the case.
        volumes_ml: of each region of the prediction.
        intensities: median of what is not 0, by modality.
        viewer: what the script of the page is told, as plain values.
        stride: the volumes are shown at every so manyeth voxel.
    """

    name: str
    volumes_ml: dict[str, float]
    intensities: dict[str, float]
    viewer: dict[str, Any]
    stride: int


def show_case(folder: Path, case: Case, sources: Sources) -> Shown:
    """Write the volumes and the picture of a case below ``folder``.

    Raises:
        UserError: a file is missing or damaged, or the prediction is not on the grid of the image.
    """
    task = sources.task
    file = prediction_file(sources.predictions, case.name)
    labels = {"prediction": _coded(file, task, sources.convention, "--prediction-labels")}
    reference = sources.references.get(case.name)
    if reference is not None:
        labels["reference"] = _coded(reference, task, sources.reference_convention, "--labels")
    images = _images(case, task)
    _check_grids(file, images, labels)

    first = next(iter(images.values()))
    alike = [image for image in images.values() if _alike(image, first)]
    box = common_box([*alike, *labels.values()])
    stride = stride_for(box)
    kept = {name: volume.part(box, stride) for name, volume in labels.items()}
    pictures = {
        name: image.part(box, stride) if _alike(image, first) else image
        for name, image in images.items()
    }
    _write_volumes(folder / "volumes" / case.name, pictures, kept)
    focus = _focus(kept)
    write_picture(
        folder / "pictures" / f"{case.name}.png",
        pictures[next(iter(images))],
        kept,
        focus,
        colour_of_codes(task),
    )
    return Shown(
        case.name,
        _volumes_ml(labels["prediction"], task),
        {name: _median(image.array) for name, image in images.items()},
        _told(task, kept["prediction"], list(kept), focus),
        stride,
    )


def codes(task: Task) -> dict[str, int]:
    """The number of each tissue or class in the volumes of a report, whatever the convention."""
    return {name: code for code, name in enumerate(task.values(task.conventions[0]))}


def target_codes(task: Task) -> dict[str, list[int]]:
    """The numbers that make up each target, the largest target first."""
    convention = task.conventions[0]
    numbers = codes(task)
    of_value = {value: numbers[name] for name, value in task.values(convention).items()}
    found = {
        target: sorted(of_value[value] for value in values)
        for target, values in task.target_values(convention).items()
    }
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def colours(task: Task) -> dict[str, str]:
    """The colour of each target."""
    return {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(task.targets)}


def colour_of_codes(task: Task) -> dict[int, str]:
    """The colour of each number: that of the smallest target that has it."""
    own = colours(task)
    return {code: own[name] for name, found in target_codes(task).items() for code in found}


def _coded(path: Path, task: Task, convention: str, option: str) -> Placed:
    volume = read_labels(path, task, convention, option)
    numbers = codes(task)
    table = np.zeros(256, np.uint8)
    for name, value in task.values(convention).items():
        table[value] = numbers[name]
    return Placed.of(path, Volume(table[volume.array], volume.header))


def _images(case: Case, task: Task) -> dict[str, Placed]:
    read: dict[Path, Volume] = {}
    found = {}
    for modality, (path, channel) in zip(task.modalities, case.images, strict=True):
        if path not in read:
            read[path] = read_volume(path)
        found[modality] = Placed.of(path, read[path], channel)
    return found


def _alike(one: Placed, other: Placed) -> bool:
    return same_grid(one.array.shape, one.affine, other.array.shape, other.affine)


def _check_grids(file: Path, images: Mapping[str, Placed], labels: Mapping[str, Placed]) -> None:
    first = next(iter(images.values()))
    for name, volume in labels.items():
        if not _alike(volume, first):
            raise UserError(
                f"the {name} of {file.name} is not on the grid of {next(iter(images))}: "
                "give the images that were segmented"
            )


def _write_volumes(
    folder: Path, images: Mapping[str, Placed], labels: Mapping[str, Placed]
) -> None:
    for index, image in enumerate(images.values()):
        write_image(folder / f"image{index}.js", f"image{index}", image)
    for name, volume in labels.items():
        write_label_map(folder / f"{name}.js", name, volume)


def _focus(labels: Mapping[str, Placed]) -> tuple[int, int, int]:
    """The labelled voxel nearest to the middle of what is predicted, else of the reference."""
    for volume in labels.values():
        inside = np.argwhere(volume.array)
        if len(inside):
            nearest = np.square(inside - inside.mean(axis=0)).sum(axis=1).argmin()
            x, y, z = (int(index) for index in inside[nearest])
            return x, y, z
    x, y, z = (size // 2 for size in next(iter(labels.values())).array.shape)
    return x, y, z


def _volumes_ml(labels: Placed, task: Task) -> dict[str, float]:
    millilitres = abs(float(np.linalg.det(labels.affine[:3, :3]))) / 1000
    counts = np.bincount(labels.array.ravel(), minlength=256)
    parts = target_codes(task)
    return {name: float(counts[parts[name]].sum()) * millilitres for name in task.targets}


def _median(array: NDArray[Any]) -> float:
    inside = array[np.isfinite(array) & (array != 0)]
    return float(np.median(inside)) if inside.size else 0.0


def _told(
    task: Task, grid: Placed, labels: list[str], focus: tuple[int, int, int]
) -> dict[str, Any]:
    own = colours(task)
    return {
        "modalities": list(task.modalities),
        "labels": labels,
        "names": list(codes(task)),
        "regions": [
            {"name": name, "codes": found, "colour": own[name]}
            for name, found in target_codes(task).items()
        ],
        "focus": grid.mm(focus),
        "flat": grid.array.shape[2] == 1,
    }
