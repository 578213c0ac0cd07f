"""2D images as cases: a file is a case, its channels are the modalities in order.

Layouts: ``images/case.png`` with ``masks/case.png`` or ``masks/case_mask.png``; and one folder of
``case.png`` with ``case_mask.png``. PNG, TIFF and JPEG, mixed as one likes.
"""

from collections import defaultdict
from pathlib import Path

from pipeline.data.cases import Case, Cohort
from pipeline.data.pixels import count_channels, is_image
from pipeline.errors import UserError
from pipeline.tasks import Task

_MASK = "_mask"


def find_images(root: Path, task: Task) -> Cohort | None:
    """The 2D images under ``root`` with their masks; None where there is no image.

    A folder of volumes may hold a picture too: look for volumes first.
    """
    separate = (root / "images").is_dir()
    images = _by_stem(root / "images" if separate else root)
    masks = _by_stem(root / "masks") if separate else images
    cases, refused = [], {}
    for name, files in images.items():
        if name.endswith(_MASK):
            continue
        labels = [*masks.get(name + _MASK, []), *(masks.get(name, []) if separate else [])]
        try:
            cases.append(_case(name, files, labels, task))
        except UserError as error:
            refused[name] = str(error)
    if not cases and not refused:
        return None
    convention = "classes" if task.classes else None
    return Cohort(root.absolute(), convention, tuple(cases), refused)


def find_masks(root: Path) -> dict[str, Path]:
    """The masks under ``root`` by case; a folder of images without ``_mask`` is one of masks.

    Raises:
        UserError: two are of one case.
    """
    files = _by_stem(root / "masks" if (root / "masks").is_dir() else root)
    masks = {name: paths for name, paths in files.items() if name.endswith(_MASK)} or files
    for paths in masks.values():
        if len(paths) > 1:
            raise UserError(f"{paths[0]} and {paths[1]} are of one case: keep one of them")
    return {name.removesuffix(_MASK): paths[0] for name, paths in masks.items()}


def _by_stem(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(folder.absolute().iterdir()) if folder.is_dir() else ():
        if is_image(path):
            found[path.stem].append(path)
    return dict(found)


def _case(name: str, images: list[Path], labels: list[Path], task: Task) -> Case:
    for files in (images, labels):
        if len(files) > 1:
            raise UserError(f"case {name} has {files[0]} and {files[1]}: keep one of them")
    count, expected = count_channels(images[0]), task.in_channels
    if count != expected:
        raise UserError(
            f"{images[0]} has {count} channels and the task {expected} modalities "
            f"({', '.join(task.modalities)}): name one modality a channel in the task"
        )
    channels = [None] if count == 1 else range(count)
    label = labels[0] if labels else None
    return Case(name, tuple((images[0], channel) for channel in channels), label)
