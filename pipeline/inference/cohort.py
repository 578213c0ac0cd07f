"""Segment the cases of a cohort, each read and written beside the network's work on another."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.data.cohorts import Case
from pipeline.errors import UserError
from pipeline.files import cannot_write
from pipeline.inference.interruption import held
from pipeline.inference.manifest import Entry, Manifest, windows, without_folders
from pipeline.inference.planes import Planes
from pipeline.inference.predictions import check_apart, prediction_path
from pipeline.inference.steps import Job, Reading, Writing
from pipeline.inference.workers import overlapped

if TYPE_CHECKING:
    from pipeline.inference.segmentation import Segmenter


_PREFIX = ".segmenting-"
_A_DAY = 86400  # seconds; a lock may not reach the other machines that write to a disk


@dataclass
class Report:
    """What became of each case, by name."""

    written: list[str] = field(default_factory=list)
    existing: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    warned: dict[str, list[str]] = field(default_factory=dict)
    """Sentences on cases that are written, without private paths."""

    def tell(self, case: Case, entry: Entry) -> None:
        """Add what became of ``case``."""
        texts = [found["sentence"] for found in entry.findings]
        if entry.outcome == "failed":
            self.failed[case.name] = texts[-1]
            return
        self.written.append(case.name)
        if texts:
            self.warned[case.name] = [case.without_paths(text) for text in texts]

    def in_order(self, names: Sequence[str]) -> "Report":
        """The same in the order of ``names``, whichever case ended first."""
        written = set(self.written)
        return Report(
            [name for name in names if name in written],
            self.existing,
            {name: self.failed[name] for name in names if name in self.failed},
            {name: self.warned[name] for name in names if name in self.warned},
        )


def segment_cases(
    segmenter: "Segmenter",
    cases: Sequence[Case],
    output_dir: Path,
    convention: str,
    overwrite: bool = False,
    probabilities: bool = False,
    on_case: Callable[[str, str], None] | None = None,
    refused: Mapping[str, str] | None = None,
) -> Report:
    """Write ``<case>.nii.gz`` for each case, or ``<case>.png`` for a case of a 2D image.

    What was done stands in ``run.json`` beside them, see ``pipeline.inference.manifest``. A bad
    case does not stop the others. Ctrl-C and SIGTERM leave whole what is finished, and no more.

    Args:
        segmenter: that each case goes through.
        cases: in the order in which they are begun.
        output_dir: made if it does not exist.
        convention: of the values in the files.
        overwrite: whether a prediction that exists is made again.
        probabilities: whether they are written too.
        on_case: called with each case and what became of it (written, left or failed) as it ends.
        refused: a sentence for each case that is none of ``cases`` and is recorded as failed.

    Raises:
        UserError: ``output_dir`` cannot be written, or holds files of the cases where predictions
            go, or predictions of another kind.
    """
    check_apart(cases, output_dir)
    options = _options(segmenter, cases, probabilities, overwrite)
    network = _Network(segmenter, probabilities)
    steps = (
        Reading(segmenter.task, tuple(segmenter.recipes), segmenter.limit.in_memory),
        network,
        Writing(segmenter.task, segmenter.rules, convention),
    )
    with (
        _alone(output_dir) as alone,
        held(),
        closing(Manifest(output_dir, segmenter, convention, options)) as manifest,
    ):
        for name, text in (refused or {}).items():
            manifest.add(name, Entry().finding("missing-file", text))
        told = _Told(manifest, output_dir, on_case or (lambda _outcome, _name: None))
        todo: list[tuple[Path, Case]] = []
        for case in cases:
            path = prediction_path(output_dir.absolute(), case.name, case.images[0][0])
            if path.exists() and not overwrite:
                told.left(case)
            else:
                todo.append((path, case))
        with (
            _temporary(output_dir, alone) as folder,
            closing(
                overlapped(_jobs(todo, folder), *steps, network.ahead, segmenter.release)
            ) as jobs,
        ):
            for job in jobs:
                told.ended(job)
        manifest.end()
    return told.report.in_order([case.name for case in cases])


@dataclass
class _Told:
    """Tells what became of each case to all who want to know."""

    manifest: Manifest
    output_dir: Path
    on_case: Callable[[str, str], None]
    report: Report = field(default_factory=Report)

    def left(self, case: Case) -> None:
        self.report.existing.append(case.name)
        self.manifest.leave(case.name)
        self.on_case("left", case.name)

    def ended(self, job: Job) -> None:
        job.drop()
        self.report.tell(job.case, job.entry)
        self.manifest.add(job.case.name, _public(job.entry, job.case, self.output_dir))
        self.on_case(job.entry.outcome, job.case.name)


@dataclass(frozen=True)
class _Network:
    """The step of a case in this process: from its prepared image to codes."""

    segmenter: "Segmenter"
    probabilities: bool

    def __call__(self, job: Job) -> None:
        x, y, z = job.prepared[0].grid.native_shape
        count = self.segmenter.task.out_channels if self.probabilities else 0
        job.codes = Planes(job.folder / "codes", (z, x, y), np.uint8)
        job.probabilities = tuple(
            Planes(job.folder / f"probability{number}", (z, x, y)) for number in range(count)
        )
        done = self.segmenter.segment(job.prepared, job.codes, job.probabilities)
        job.entry.spent("compile", done.compile_s)
        job.entry.spent("network", done.network_s)
        job.entry.spent("restore", done.restore_s)
        job.entry.windows = [windows(plan) for plan in done.plans]
        job.drop_image()

    def ahead(self, job: Job) -> int:
        """How many cases to read while this one is segmented."""
        with suppress(Exception):  # which the step itself raises
            return min(room.reads_ahead for room in self.segmenter.rooms(job.prepared))
        return 0


def _jobs(cases: Sequence[tuple[Path, Case]], folder: Path) -> Iterator[Job]:
    for number, (path, case) in enumerate(cases):
        yield Job(case, path, folder / str(number))


@contextmanager
def _alone(output_dir: Path) -> Iterator[bool]:
    """Keep other segmentations out of the folder: of two records one would be lost.

    False where the disk has no locks.
    """
    with cannot_write(output_dir):
        output_dir.mkdir(parents=True, exist_ok=True)
        folder = os.open(output_dir, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"another segment is at work in {output_dir}: choose another output, or wait"
            ) from error
        except OSError:
            yield False
            return
        yield True
    finally:
        os.close(folder)


@contextmanager
def _temporary(output_dir: Path, alone: bool) -> Iterator[Path]:
    """A hidden folder beside the predictions, on their disk, that does not outlast the context.

    Those of processes that were killed are removed after a day, where no other is at work.
    """
    for left in output_dir.glob(f"{_PREFIX}*") if alone else ():
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _A_DAY:
                shutil.rmtree(left)
    with cannot_write(output_dir):
        folder = TemporaryDirectory(
            prefix=_PREFIX, dir=output_dir.absolute(), ignore_cleanup_errors=True
        )
    with folder as path:
        yield Path(path)


def _options(
    segmenter: "Segmenter", cases: Sequence[Case], probabilities: bool, overwrite: bool
) -> dict[str, Any]:
    align = next((case.align.how for case in cases if case.align is not None), None)
    return {
        "domain": segmenter.bundles[0].domain,
        "align": align,
        "probabilities": probabilities,
        "overwrite": overwrite,
    }


def _public(entry: Entry, case: Case, output_dir: Path) -> Entry:
    """``entry`` without folders, or anything of the paths of a private case."""
    folders = {output_dir.absolute(), output_dir, *(path.parent for path, _ in case.images)}
    findings = [
        {**found, "sentence": without_folders(case.without_paths(found["sentence"]), folders)}
        for found in entry.findings
    ]
    return replace(entry, findings=findings)
