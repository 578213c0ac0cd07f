"""A command in a fresh process, and what its whole tree of processes costs."""

import ctypes
import os
import signal
import subprocess
import threading
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, thread_time

PERIOD = 0.05  # seconds between two looks at the memory
_TICKS = os.sysconf("SC_CLK_TCK")
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Cost:
    """What a command took.

    Args:
        wall_s: seconds from its start to its end.
        cpu_s: processor seconds of the tree.
        helpers_cpu_s: of these, those of all processes but the first.
        peak_bytes: the largest sum of memory over the tree, see ``Watch``.
        status: exit status, negative for a signal.
        stopped: "memory" or "time" if it went over a limit.
    """

    wall_s: float
    cpu_s: float
    helpers_cpu_s: float
    peak_bytes: int
    status: int
    stopped: str | None = None


@dataclass
class Watch:
    """Looks at a tree every ``PERIOD`` until it is told to end.

    Memory is the proportional set size, in which what several processes share counts once; where
    the kernel does not tell it, the resident set size. A look that is dear makes the next come
    later, so that looking takes at most a twentieth of one core.
    """

    root: int
    limit_bytes: float = float("inf")
    limit_s: float = float("inf")
    peak: int = 0
    root_cpu_s: float = 0.0
    stopped: str | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Look again and again; a tree that is over a limit is killed."""
        began, pause = perf_counter(), 0.0
        while not self.ended.wait(pause):
            looked, spent = perf_counter(), thread_time()
            self.look()
            if self.peak > self.limit_bytes:
                self.stopped = "memory"
            elif looked - began > self.limit_s:
                self.stopped = "time"
            if self.stopped:
                return kill(self.root)
            pause = max(PERIOD, 20 * (thread_time() - spent))
        return None

    def look(self) -> None:
        """Take the memory of the tree and the processor seconds of its root."""
        self.peak = max(self.peak, sum(memory(pid) for pid in tree(self.root)))
        with suppress(OSError, IndexError):
            self.root_cpu_s = sum(int(ticks) for ticks in stat(self.root)[11:13]) / _TICKS


def measured(
    command: Sequence[str],
    log: Path,
    environment: Mapping[str, str] | None = None,
    limit_bytes: float = float("inf"),
    limit_s: float = float("inf"),
) -> Cost:
    """Run ``command`` to its end.

    Args:
        command: program and arguments.
        log: file of what it prints.
        environment: variables beside those of this process.
        limit_bytes: of the tree's memory; above it the tree is killed.
        limit_s: seconds; after them the tree is killed.
    """
    adopt_orphans()
    before = children(os.getpid())
    with log.open("w") as file:
        began = perf_counter()
        process = subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
        )
        watch = Watch(process.pid, limit_bytes, limit_s)
        thread = threading.Thread(target=watch.run)
        thread.start()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        wall_s = perf_counter() - began
        watch.ended.set()
        thread.join()
        watch.look()  # what the root took to its end
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu_s = usage.ru_utime + usage.ru_stime + sum(orphans(before))
    helpers_cpu_s = max(0.0, cpu_s - watch.root_cpu_s)
    return Cost(wall_s, cpu_s, helpers_cpu_s, watch.peak, process.returncode, watch.stopped)


def adopt_orphans() -> None:
    """Let processes whose parent has ended become children of this one, so that they count."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def orphans(others: Container[int]) -> Iterator[float]:
    """Wait for every process that outlives the first; processor seconds of each.

    Args:
        others: children of this process that have nothing to do with it.
    """
    while left := [pid for pid in children(os.getpid()) if pid not in others]:
        for pid in left:
            _, _, usage = os.wait4(pid, 0)
            yield usage.ru_utime + usage.ru_stime


def children(pid: int) -> list[int]:
    """The processes that ``pid`` has started or adopted."""
    found: list[int] = []
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (thread / "children").read_text().split())
    return found


def tree(root: int) -> list[int]:
    """``root`` and all that descend from it now."""
    found = [root]
    for pid in found:
        found += children(pid)
    return found


def stat(pid: int) -> list[str]:
    """What the kernel says of a process, from its state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()


def memory(pid: int) -> int:
    """Bytes that a process holds: its proportional, else its resident set size; 0 if it is gone."""
    for file, key in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
                if line.startswith(key):
                    return int(line.split()[1]) * 1024
    return 0


def kill(root: int) -> None:
    """End a whole tree."""
    for pid in tree(root):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
