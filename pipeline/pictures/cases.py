"""Pictures of a case that lies in files."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.data.admission import Image
from pipeline.data.cohorts import Case, Cohort, find_cohort, single_case
from pipeline.data.findings import shown
from pipeline.data.labels import read_labels
from pipeline.data.modalities import canonical as canonical_name
from pipeline.data.pixels import is_image
from pipeline.data.volumes import Volume, is_volume, read_volume, stem
from pipeline.errors import UserError, nearest
from pipeline.files import write_bytes
from pipeline.grids import same_grid
from pipeline.pictures.lightbox import lightbox
from pipeline.pictures.planes import three_planes
from pipeline.pictures.scenes import canonical
from pipeline.tasks import Task


@dataclass(frozen=True)
class LabelFile:
    """A label file and the convention of its values."""

    path: Path
    convention: str


def draw_case(
    case: Case,
    prediction: LabelFile,
    reference: LabelFile | None,
    task: Task,
    pictures: Mapping[str, Path],
    title: str,
) -> None:
    """Write pictures of a case.

    Args:
        case: of one modality.
        prediction: on the grid of the image.
        reference: likewise, or None.
        task: names the values.
        pictures: path of the PNG by what it shows, "planes" or "lightbox".
        title: above each.

    Raises:
        UserError: a file cannot be read, or the grids differ, or a picture cannot be written.
    """
    ((path, channel),) = case.images
    volume = read_volume(path)
    shown_image = Volume(Image(path, volume, channel).array, volume.header)
    files = [prediction] if reference is None else [prediction, reference]
    volumes = [shown_image.array]
    for file in files:
        labels = read_labels(file.path, task, file.convention)
        _check_grid(path, shown_image, file.path, labels)
        volumes.append(_numbered(labels.array, task, file.convention))
    spacing = None
    if is_image(path):
        volumes = [array[::-1, ::-1].transpose(1, 0, 2) for array in volumes]  # rows downwards
    else:
        volumes, spacing = canonical(volumes, shown_image.affine)
    names = dict(enumerate(_names(task), start=1))
    draw = {"planes": three_planes, "lightbox": lightbox}
    for kind, written in pictures.items():
        picture = BytesIO()
        reference_volume = volumes[2] if reference else None
        draw[kind](volumes[0], reference_volume, volumes[1], spacing, picture, title, names)
        write_bytes(written, picture.getvalue())


def is_one_file(path: Path) -> bool:
    """Whether ``path`` is one image or label file, rather than a folder or a list of cases."""
    return path.is_file() and (is_volume(path) or is_image(path))


def find_images(root: Path, task: Task, modality: str, layout: str | None = None) -> Cohort:
    """Cases of one ``modality`` of ``task``.

    Args:
        root: folder of the cases or of one, or a file of that modality.
        task: whose modality it is.
        modality: by any of its names.
        layout: how the cases lie; None recognises it.

    Raises:
        UserError: the task has no such modality, or there is no case.
    """
    wanted = canonical_name(modality)
    known = [canonical_name(name) for name in task.modalities]
    if wanted not in known:
        raise UserError(f"no modality {modality!r} in the task: {nearest(wanted, known)}")
    alone = Task((wanted,), task.regions, task.classes)
    if is_one_file(root):
        return Cohort(root.parent, None, (single_case({wanted: root}, alone),))
    cohort, index = find_cohort(root, alone, layout, with_labels=False), 0
    if cohort.layout == "images":  # whose channels are counted
        cohort, index = find_cohort(root, task, layout, with_labels=False), known.index(wanted)
    chosen = tuple(replace(case, images=(case.images[index],)) for case in cohort.cases)
    return replace(cohort, cases=chosen)


def find_predictions(path: Path) -> dict[str, Path]:
    """Prediction files by case: those in the folder ``path``, or the one that it is.

    Raises:
        UserError: there is none.
    """
    files = [path] if path.is_file() else sorted(path.iterdir()) if path.is_dir() else []
    found = {stem(file): file for file in files if is_volume(file) or is_image(file)}
    if not found:
        raise UserError(f"no prediction at {path}: name a folder of <case>.nii.gz, or one file")
    return found


def _names(task: Task) -> list[str]:
    """What values stand for, background apart: tissues, or classes."""
    return list(task.values(task.conventions[0]))[1:]


def _numbered(labels: NDArray[np.uint8], task: Task, convention: str) -> NDArray[np.uint8]:
    """Values of ``convention`` become the numbers of ``_names``, counted from 1."""
    numbers = np.zeros(256, np.uint8)
    values = task.values(convention)
    for number, name in enumerate(_names(task), start=1):
        numbers[values[name]] = number
    return numbers[labels]


def _check_grid(path: Path, image: Volume, label_path: Path, labels: Volume) -> None:
    shapes = image.array.shape, labels.array.shape
    if not same_grid(shapes[0], image.affine, shapes[1], labels.affine):
        raise UserError(
            f"{shown(label_path)} is not on the grid of {shown(path)}: draw it on the modality "
            "whose grid it has (--modality), or resample it by nearest neighbour"
        )
