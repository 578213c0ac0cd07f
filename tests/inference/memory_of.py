"""The peak memory of a command and all processes that it starts."""

import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path


def peak_bytes(command: Sequence[str]) -> int:
    """Bytes at the peak, pages that are shared counted once; the command must end well."""
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peaks = [0]

    def watch() -> None:
        while started.poll() is None:
            peaks.append(sum(map(_pss, _tree(started.pid))))
            time.sleep(0.05)

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, said = started.communicate()
    watcher.join()
    if started.returncode != 0:
        raise RuntimeError(said)
    return max(peaks)


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found = children.read_text().split()
        except OSError:
            continue
        for child in found:
            yield from _tree(int(child))


def _pss(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
