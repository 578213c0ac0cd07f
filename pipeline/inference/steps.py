"""What happens to a case before and after the network, each in a process of its own."""

import errno
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.cases import Case
from pipeline.data.findings import FileUserError
from pipeline.data.pixels import is_image
from pipeline.data.slab_writing import VolumeWriter
from pipeline.data.slabs import opened
from pipeline.errors import sentence
from pipeline.files import cannot_write
from pipeline.inference.codes import Rules, cleaned, painted
from pipeline.inference.manifest import Entry, input_hashes
from pipeline.inference.planes import Planes
from pipeline.inference.predictions import (
    alignment_path,
    brightness,
    probability_path,
    volumes_ml,
)
from pipeline.inference.preparing import Prepared, prepare
from pipeline.recipe import Recipe
from pipeline.tasks import Task

_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass
class Job:
    """A case on its way; see ``pipeline.inference.workers.Job``.

    Args:
        case: its files.
        path: of the prediction.
        folder: for what is needed meanwhile.
        entry: what became of it so far.
        failed: whether a step failed.
        prepared: the image, in each way that the networks need.
        header: of the first modality.
        codes: (Z, X, Y), see ``pipeline.inference.codes``.
        probabilities: (Z, X, Y) of each region or class, or none.
    """

    case: Case
    path: Path
    folder: Path
    entry: Entry = field(default_factory=Entry)
    failed: bool = False
    prepared: tuple[Prepared, ...] = ()
    header: Any = None
    codes: Planes | None = None
    probabilities: tuple[Planes, ...] = ()

    def fail(self, error: Exception) -> None:
        """Keep what a step raised, as a sentence."""
        self.failed = True
        told = _told(error).replace(str(self.folder), str(self.path.parent))
        self.entry.finding(_code(error), told)

    def drop_image(self) -> None:
        """Remove the image that was prepared."""
        _remove(one.image for one in self.prepared)
        self.prepared = ()

    def drop(self) -> None:
        """Remove all that was needed meanwhile."""
        self.drop_image()
        _remove((*(() if self.codes is None else (self.codes,)), *self.probabilities))
        self.codes, self.probabilities = None, ()
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class Reading:
    """From the files of a case to what networks see, and what the files say of themselves.

    Args:
        task: names the images.
        recipes: each way in which the case is prepared.
        in_memory: bytes that its images may take; a larger case is read by slabs.
    """

    task: Task
    recipes: tuple[Recipe, ...]
    in_memory: int | None = None

    def __call__(self, job: Job) -> None:
        """Prepare the case.

        Raises:
            UserError: a file cannot be used.
        """
        job.folder.mkdir(exist_ok=True)
        with job.entry.timed("load"):
            job.entry.input_sha256 = input_hashes(job.case, self.task.modalities)
            with opened(
                _reporting_in(job.folder, job.case), self.task, job.folder, self.in_memory
            ) as files:
                job.prepared = tuple(
                    prepare(files.channels, files.affine, recipe, job.folder / f"image{number}")
                    for number, recipe in enumerate(self.recipes)
                )
                job.header = files.header
        for finding in files.warnings:
            job.entry.finding(finding.code, finding.sentence)


@dataclass(frozen=True)
class Writing:
    """From the codes of a case to its prediction, whole or not at all.

    Args:
        task: what was segmented.
        rules: what is removed from the prediction.
        convention: of the values in the file.
    """

    task: Task
    rules: Rules
    convention: str

    def __call__(self, job: Job) -> None:
        """Write the prediction, and the probabilities if there are any.

        Raises:
            UserError: the folder cannot be written.
        """
        with job.entry.timed("restore"):
            codes = self._kept(job)
        parts: dict[Path, Path] = {}
        with job.entry.timed("write"):
            names = self.task.regions or self.task.classes
            for name, planes in zip(names, job.probabilities, strict=bool(job.probabilities)):
                path = probability_path(job.path, name)
                parts[path] = job.folder / path.name
                with VolumeWriter(parts[path], np.float32, job.header) as file:
                    for z in range(planes.shape[0]):
                        file.write(z, planes.read(z, z + 1)[0])
            parts[job.path] = job.folder / job.path.name
            report = alignment_path(job.path)
            if (part := job.folder / report.name).is_file():
                parts[report] = part
            counts = self._write_labels(parts[job.path], codes, job)
            for path in (report, *(probability_path(job.path, name) for name in names)):
                if path not in parts:  # of the prediction that is replaced
                    path.unlink(missing_ok=True)
            for path, part in parts.items():
                _put(part, path)
        if not is_image(job.path):
            job.entry.volumes_ml = volumes_ml(counts, job.header, self.task, self.convention)
        job.entry.outcome = "written"

    def _kept(self, job: Job) -> Iterator[NDArray[np.uint8]]:
        """The planes of codes after the rules, which need them all at once where there are any."""
        planes = job.codes
        if planes is None:
            raise ValueError(f"case {job.case.name} was not segmented")
        if self.rules == Rules():
            return (planes.read(z, z + 1)[0] for z in range(planes.shape[0]))
        return iter(cleaned(planes.read(0, planes.shape[0]), self.task, self.rules))

    def _write_labels(
        self, part: Path, codes: Iterator[NDArray[np.uint8]], job: Job
    ) -> NDArray[np.int64]:
        """Write the label map; gives how many voxels have each value that is not 0."""
        factor = brightness(job.path, self.task)
        counts = np.zeros(256, np.int64)
        with VolumeWriter(part, np.uint8, job.header) as file:
            for z, plane in enumerate(codes):
                if plane.any():
                    labels = painted(plane, self.task, self.convention)
                    counts += np.bincount(labels.ravel(), minlength=256)
                    file.write(z, labels * factor)
        return counts


def _reporting_in(folder: Path, case: Case) -> Case:
    """``case``, what its alignment writes going to ``folder`` until the prediction is whole."""
    if case.align is None or case.align.report is None:
        return case
    return replace(case, align=replace(case.align, report=folder))


def _put(part: Path, path: Path) -> None:
    """Move a file that is whole to its place."""
    with cannot_write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.replace(path)


def _remove(files: Iterable[Planes]) -> None:
    for planes in files:
        planes.close()
        planes.path.unlink(missing_ok=True)


def _told(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in _FULL:
        return f"the output is full ({error.strerror}): free some space, or choose another output"
    if isinstance(error, MemoryError):
        return "memory ran out: free some, or allow less of it (segment --max-memory)"
    return sentence(error) or f"{type(error).__name__}: {error}"


def _code(error: BaseException | None) -> str | None:
    """The code of the check that refused a file, if that is behind ``error``."""
    while error is not None:
        if isinstance(error, FileUserError):
            return error.code
        error = error.__cause__ or error.__context__
    return None
