"""How large a file may be, so that a header cannot ask for more memory than there is."""

import math
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError

BYTES_A_VOXEL = 8
"""A voxel can take this much while it is read: scaled values are float64."""

SMALLER = "crop it, use a machine with more memory, or allow more (--max-gib)"
"""What to do with a file that is too large."""

_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
_GIVEN = "PIPELINE_MAX_BYTES"
"""In the environment, which the processes that load cases inherit however they are started."""


@dataclass(frozen=True)
class Limits:
    """Checked before anything is allocated.

    Args:
        num_bytes: of a file's content, decompressed.
    """

    num_bytes: int

    @property
    def num_voxels(self) -> int:
        """Of a file, all channels counted."""
        return self.num_bytes // BYTES_A_VOXEL

    @classmethod
    def in_force(cls) -> "Limits":
        """What ``limit_files`` was given.

        Else a quarter of the memory, since an image is scaled, converted and stacked once read.
        """
        given = os.environ.get(_GIVEN)
        return cls(memory() // 4 if given is None else int(given))

    @classmethod
    def on_disk(cls) -> "Limits":
        """What ``limit_files`` was given, else none: of files that are read piece by piece."""
        given = os.environ.get(_GIVEN)
        return cls(sys.maxsize if given is None else int(given))


def limit_files(num_gib: float | None) -> None:
    """Let this process and those that it starts read files of up to ``num_gib``, decompressed.

    Args:
        num_gib: None goes back to what the memory allows.

    Raises:
        UserError: the size is not above 0.
    """
    os.environ.pop(_GIVEN, None)
    if num_gib is None:
        return
    if not 0 < num_gib < math.inf:
        raise UserError(f"--max-gib takes a size above 0, not {num_gib:g}")
    os.environ[_GIVEN] = str(int(num_gib * 2**30))


def memory() -> int:
    """Bytes that this process can have: the machine's, or its container's if that is less."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _CGROUP_LIMITS:
        with suppress(OSError, ValueError):  # absent, or "max"
            found.append(int(path.read_text()))
    return min(found)
