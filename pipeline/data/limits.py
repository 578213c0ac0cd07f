"""How large a file may be, so that a header cannot ask for more memory than there is."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

BYTES_A_VOXEL = 8
"""A voxel can take this much while it is read: scaled values are float64."""

_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


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
    def of_machine(cls) -> "Limits":
        """A quarter of the memory, since an image is scaled, converted and stacked once read."""
        return cls(memory() // 4)


def memory() -> int:
    """Bytes that this process can have: the machine's, or its container's if that is less."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _CGROUP_LIMITS:
        with suppress(OSError, ValueError):  # absent, or "max"
            found.append(int(path.read_text()))
    return min(found)
