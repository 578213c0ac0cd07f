"""Three steps a job, of several jobs at a time: read in a process, computed here, written in one.

A process of its own for each reading and each writing bounds what a crash can harm to that job.
Processes are forked from a server that has loaded what they need, so that one costs milliseconds.
"""

import logging
import math
import multiprocessing
import os
import signal
import sys
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing.connection import Connection, wait
from pathlib import Path
from time import monotonic
from types import ModuleType
from typing import Any, Generic, Protocol, TypeVar

from pipeline.errors import UserError
from pipeline.inference.interruption import heeding

GRACE = 2.0
"""Seconds in which an interrupted run lets jobs end that are being written."""

_PRELOADED = ("pipeline.inference.steps",)
"""What the server loads once for all processes."""

_FORKS = "forkserver" in multiprocessing.get_all_start_methods()
_PROCESSES: Any = multiprocessing.get_context("forkserver" if _FORKS else "spawn")


class Job(Protocol):
    """What goes through the steps; it is pickled to a process, and comes back from it."""

    @property
    def failed(self) -> bool:
        """Whether a step failed, so that no further one is taken."""

    def fail(self, error: Exception) -> None:
        """Keep what a step raised."""


J = TypeVar("J", bound=Job)
Step = Callable[[J], None]
"""Does its part of a job and keeps in it what comes of that."""


def overlapped(
    jobs: Iterable[J],
    read: Step[J],
    compute: Step[J],
    write: Step[J],
    ahead: Callable[[J], int] = lambda _job: 1,
    computed: Callable[[], None] = lambda: None,
) -> Generator[J, None, None]:
    """Take each job through its steps, and give it when it has ended.

    A step that raises, or whose process ends, fails its job and no other. Ctrl-C ends all; jobs
    that are being written have ``GRACE`` to end, and are given, before it is raised. Where it is
    ``held``, it comes while a job is computed or waited for, so that none that has ended is lost.

    Args:
        jobs: in the order in which they are begun.
        read: done in a process for each job.
        compute: done here, for one job after the other.
        write: done in a process for each job.
        ahead: how many jobs at most are read, or wait, while this one is computed; where it is
            none one job is written at a time, else two.
        computed: called after a job during which none was read, and after the last.
    """
    todo = iter(jobs)
    readers: deque[_Worker[J]] = deque()
    writers: list[_Worker[J]] = []

    def begin_reading(count: int) -> None:
        for job in islice(todo, max(0, count - len(readers))):
            readers.append(_Worker(job, read, "read"))

    try:
        begin_reading(1)
        while readers:
            with heeding():
                wait([readers[0].connection])
            job = readers.popleft().result()
            count = 0 if job.failed else ahead(job)
            begin_reading(count)
            _take_heeding(compute, job)
            if count == 0:
                computed()
            if job.failed:
                yield job
            else:
                yield from _ended(writers, min(count, 1))
                writers.append(_Worker(job, write, "wrote"))
            begin_reading(1)
        computed()
        yield from _ended(writers, 0)
    except KeyboardInterrupt:
        yield from _ended(writers, 0, GRACE)
        raise
    finally:
        for worker in (*readers, *writers):
            worker.end()


def warm_up() -> None:
    """Begin to load what the processes need, and do not wait for it.

    Ctrl-C in a terminal reaches every process in it; that of the server and of those that it forks
    is blocked, and this process ends them.
    """
    if _FORKS:
        from multiprocessing import forkserver, resource_tracker

        forkserver.set_forkserver_preload(list(_PRELOADED))
        resource_tracker.ensure_running()  # which would unblock it
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Worker(Generic[J]):
    """A process that takes a step of a job.

    Args:
        job: see ``Job``.
        step: a function or an object that can be pickled.
        did: "read" or "wrote", for a sentence.
    """

    def __init__(self, job: J, step: Step[J], did: str) -> None:
        warm_up()
        self.job = job
        self.did = did
        self.connection, theirs = _PROCESSES.Pipe(duplex=False)
        surroundings = (dict(os.environ), Path.cwd())
        self.process = _PROCESSES.Process(
            target=_work, args=(theirs, step, job, *surroundings), daemon=True
        )
        try:
            with _main_left_alone(), suppress(ConnectionError):  # it ended at once
                self.process.start()
        except BaseException:
            self.end()
            raise
        finally:
            theirs.close()

    def result(self) -> J:
        """The job after the step; it has failed if the process ended before."""
        try:
            job: J = self.connection.recv()
        except (EOFError, OSError):
            self._join()
            self.job.fail(UserError(f"the process that {self.did} it {_end(self.process)}"))
            job = self.job
        finally:
            self.end()
        return job

    def end(self) -> None:
        """End the process, whatever it does."""
        if self.process.pid is not None:
            self.process.kill()
        self._join()
        self.connection.close()

    def _join(self) -> None:
        if self.process.pid is not None:
            self.process.join()


def _ended(workers: list[_Worker[J]], count: int, seconds: float = math.inf) -> Iterator[J]:
    """The jobs that have ended, once no more than ``count`` of ``workers`` are left.

    Those that go on after so many ``seconds`` stay.
    """
    until = monotonic() + seconds
    while workers:
        left = None if math.isinf(seconds) else max(0.0, until - monotonic())
        with heeding():
            ready = wait([one.connection for one in workers], left if len(workers) > count else 0)
        if not ready:
            break
        worker = next(worker for worker in workers if worker.connection in ready)
        workers.remove(worker)
        yield worker.result()


def _take(step: Step[J], job: J) -> None:
    if not job.failed:
        try:
            step(job)
        except Exception as error:
            job.fail(error)


def _take_heeding(step: Step[J], job: J) -> None:
    if not job.failed:
        with heeding():
            _take(step, job)


def _work(
    connection: Connection, step: Step[J], job: J, environment: Mapping[str, str], folder: Path
) -> None:
    """What the process does; the server was begun in other surroundings perhaps."""
    for one in (signal.SIGINT, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    _take(step, job)
    with suppress(BrokenPipeError):  # the run was interrupted
        connection.send(job)


@contextmanager
def _main_left_alone() -> Iterator[None]:
    """Keep a process that is begun within from running the user's main script once more."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _end(process: Any) -> str:
    status = process.exitcode
    if status is None:
        return "did not begin: try it again"
    if status >= 0:
        return f"ended with status {status}: try it again"
    name = signal.Signals(-status).name
    often = ", as happens where memory runs out" if name == "SIGKILL" else ""
    return f"ended with signal {-status} ({name}){often}: try it again"
