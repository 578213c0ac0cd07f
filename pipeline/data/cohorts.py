"""Which files are which case and which modality.

Modalities are found by name, never by position; how the files lie is in ``pipeline.data.layouts``.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.data.cases import Align as Align
from pipeline.data.cases import Case as Case
from pipeline.data.cases import Cohort as Cohort
from pipeline.data.layouts import Found, Listing, listed
from pipeline.data.modalities import canonical, names_of
from pipeline.data.volumes import is_volume, stem
from pipeline.errors import UserError
from pipeline.progress import console
from pipeline.tasks import Task


def find_cohort(
    root: Path | str, task: Task, layout: str | None = None, with_labels: bool = True
) -> Cohort:
    """Find the cases of ``task`` under ``root``.

    Args:
        root: a folder of cases or of a single case, or a CSV or JSON file that lists cases.
        task: whose modalities are looked for.
        layout: the name of the layout; None recognises it.
        with_labels: whether labels are to be used; if not, a case may lack one that is listed.

    Raises:
        UserError: ``root`` does not exist or holds no case, or the layout does not fit.
    """
    root = Path(root).absolute()
    _check_exists(root, "give the folder of the cases")
    if layout != "images":
        found = listed(root, layout)
        cohort = None if found is None else _of_task(root, task, with_labels, *found)
        if cohort is not None:
            return cohort
    cohort = _images(root, task)
    if cohort is None:
        raise UserError(
            f"no case under {root}: expected case folders with files such as "
            f"case/case_{task.modalities[0]}.nii.gz, or another layout (--layout)"
        )
    return cohort


def tell(cohort: Cohort) -> None:
    """Say on the screen what was found."""
    for note in cohort.notes:
        console.print(note, markup=False, soft_wrap=True)


def single_case(files: Mapping[str, Path], task: Task) -> Case:
    """The case of one file, or folder of a DICOM series, a modality.

    It is named by the file of the first modality, or by a pseudonym if a file is DICOM.

    Args:
        files: by the name of the modality.
        task: whose modalities are expected.

    Raises:
        UserError: a modality is missing or there twice, one is not of the task, or a folder is not
            that of one series or stands beside a file.
    """
    known: dict[str, Path] = {}
    for modality, path in files.items():
        if canonical(modality) in known:
            raise UserError(
                f"{known[canonical(modality)]} and {path} are both {modality}: keep one"
            )
        known[canonical(modality)] = path
    wanted = _wanted(task)
    for modality in known:
        if modality not in wanted:
            raise UserError(f"{modality} is no modality of the task: it takes {', '.join(wanted)}")
    for modality in wanted:
        if modality not in known:
            raise UserError(f"no {modality} image given: add {modality}=FILE")
    paths = _files([known[modality] for modality in wanted])
    from pipeline.data.dicom import pseudonym

    hidden = pseudonym(paths)
    if hidden is not None:
        return Case(hidden, tuple((path.absolute(), None) for path in paths), private=True)
    first = stem(paths[0])
    ending = rf"(^|[_-])({'|'.join(names_of(wanted[0]))})$"
    name = re.sub(ending, "", first, flags=re.IGNORECASE)
    return Case(name or paths[0].absolute().parent.name, tuple((path, None) for path in paths))


def written_convention(task: Task, cohort: Cohort, asked: str | None) -> str:
    """The convention to write: what is asked for, else the layout's, else the task's newest."""
    chosen = asked or cohort.convention or ("classes" if task.classes else "brats2023")
    task.values(chosen)
    return chosen


def find_labels(root: Path, layout: str | None = None) -> tuple[dict[str, Path], str | None]:
    """The label files under ``root`` by case, and their convention where the layout tells it.

    A folder without label names or ``dataset.json`` is taken as one ``<case>.nii.gz`` a case, or as
    one mask a case.

    Raises:
        UserError: the folder does not exist or holds no label, or two of one case.
    """
    _check_exists(root, "give the folder of the references")
    root = root.absolute()
    found = None if layout == "images" else listed(root, layout)
    cases = found[1].cases if found else ()
    for case in cases:
        if case.ambiguous or case.is_closed:
            raise UserError(case.problems.get("") or case.problems["label"])
    labels = {case.name: case.files["label"][0] for case in cases if "label" in case.files}
    if not labels and layout != "images" and root.is_dir():
        for path in filter(is_volume, sorted(root.iterdir())):
            other = labels.setdefault(stem(path), path)
            if other != path:
                raise UserError(f"{other} and {path} are of one case: keep one of them")
    if not labels:
        from pipeline.data.images2d import find_masks

        labels = find_masks(root)
    if not labels:
        raise UserError(f"no label under {root}: expected files such as case/case_seg.nii.gz")
    return labels, found[1].convention if found else None


def _check_exists(root: Path, remedy: str) -> None:
    listing = root.is_file() and root.suffix.lower() in (".csv", ".json")
    if not (root.is_dir() or listing):
        raise UserError(f"no folder {root}: {remedy}, or a CSV or JSON file that lists the cases")


def _of_task(
    root: Path, task: Task, with_labels: bool, layout: str, listing: Listing
) -> Cohort | None:
    """The cases that a layout finds and that have any modality of ``task``, or None."""
    wanted = _wanted(task)
    _check_declared(listing, wanted)
    cases, refused, incomplete, others = [], {}, [], 0
    for found in sorted(listing.cases, key=lambda case: case.name):
        if not (found.meant or "" in found.problems or found.files.keys() & set(wanted)):
            others += 1
            continue
        used = [*wanted, "label"] if with_labels or found.ambiguous else wanted
        problem = found.problem(used) or _missing(found, wanted, listing)
        if problem is not None:
            refused[found.name] = problem
            if found.private:
                incomplete.append(Case(found.name, tuple(found.files.values()), private=True))
            continue
        images = tuple(found.files[modality] for modality in wanted)
        label, _ = found.files.get("label", (None, None))
        cases.append(Case(found.name, images, label, private=found.private, subject=found.subject))
    if not cases and not refused:
        return None
    convention = "classes" if task.classes else listing.convention
    notes = [f"{len(cases)} cases in the layout {layout}"]
    if others:
        notes.append(f"{others} more have none of {', '.join(wanted)}: they are left out")
    notes += listing.notes
    return Cohort(root, convention, tuple(cases), refused, layout, tuple(notes), tuple(incomplete))


def _wanted(task: Task) -> list[str]:
    """The canonical modalities of ``task``, each of which names a file of its own."""
    wanted = [canonical(modality) for modality in task.modalities]
    for number, modality in enumerate(wanted):
        if modality in wanted[:number]:
            other = task.modalities[wanted.index(modality)]
            raise UserError(
                f"the task's modalities {other} and {task.modalities[number]} are the same: name "
                "each once"
            )
    return wanted


def _check_declared(listing: Listing, wanted: Iterable[str]) -> None:
    for modality in wanted:
        if listing.modalities is not None and modality not in listing.modalities:
            names = ", ".join(listing.modalities)
            raise UserError(
                f"{listing.source} has no modality {modality}: it lists {names}; set the task's "
                "modalities to those that it has, or name them as the task does"
            )


def _missing(found: Found, wanted: Iterable[str], listing: Listing) -> str | None:
    missing = next((modality for modality in wanted if modality not in found.files), None)
    if missing is None:
        return None
    if listing.described:
        return (
            f"case {found.name} has no {missing} series, as far as descriptions tell: name the "
            f"folder of each series when you segment, --images {missing}=FOLDER"
        )
    names = ", ".join(names_of(missing))
    return (
        f"case {found.name} under {listing.source} has no {missing} image (known names: {names}): "
        "add the file"
    )


def _images(root: Path, task: Task) -> Cohort | None:
    from pipeline.data.images2d import find_images

    cohort = find_images(root, task)
    if cohort is None:
        return None
    notes = (f"{len(cohort.cases)} cases in the layout images",)
    return replace(cohort, layout="images", notes=notes)


def _files(paths: Sequence[Path]) -> list[Path]:
    """``paths``, or a slice of each DICOM series if they are folders."""
    folders = [path for path in paths if path.is_dir()]
    if not folders:
        return list(paths)
    for path in paths:
        if path not in folders:
            raise UserError(
                f"{path} is no folder and {folders[0]} is one: give a file a modality, or a folder "
                "of one DICOM series a modality"
            )
    from pipeline.data.dicom import only_series

    return [only_series(folder.absolute()).path for folder in folders]
