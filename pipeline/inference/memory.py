"""How much memory a segmentation takes, and what is chosen so that it stays within its limit."""

import math
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.data.limits import memory
from pipeline.errors import UserError
from pipeline.inference.backends.backend import Backend
from pipeline.inference.engine import ring_bytes
from pipeline.inference.plan import WindowPlan
from pipeline.inference.preparing import Prepared

WORKER = 160 * 2**20
"""Bytes that a process which reads or writes a case takes besides the voxels that it holds."""

SLACK = 48 * 2**20
"""Bytes for what is not counted: the interpreter's small objects, buffers of files."""

_PLANES = 12  # planes of all channels that are held between the network and the file
_AT_ONCE = 8  # bytes a voxel of codes, and of what rules make of them
_HUNDREDTH = 2**30 // 100  # of a GiB; a floor that is told is enough
_OF_MEMORY = 0.8  # of the machine, where no limit is given


@dataclass(frozen=True)
class Room:
    """What a case is given.

    Args:
        batch_size: windows in one call of the network.
        reads_ahead: how many cases are read meanwhile.
        expected: bytes at the peak, of all processes.
    """

    batch_size: int
    reads_ahead: int
    expected: int


@dataclass(frozen=True)
class Limit:
    """The bytes that all processes of a segmentation may take together, imports included.

    Args:
        num_bytes: the limit.
    """

    num_bytes: int

    @classmethod
    def of(cls, gib: float | None) -> "Limit":
        """``gib`` GiB, or what this machine or its container gives.

        Raises:
            UserError: the size is not above 0.
        """
        if gib is None:
            return cls(int(_OF_MEMORY * memory()))
        if not 0 < gib < math.inf:
            raise UserError(f"--max-memory takes a size above 0 in GiB, not {gib:g}")
        return cls(int(gib * 2**30))

    @property
    def in_memory(self) -> int:
        """Bytes of images up to which a case is read at once; a larger one is read by slabs."""
        return self.num_bytes // 8

    def reader(self, prepared: Prepared) -> int:
        """Bytes of the process that reads a case like ``prepared``, twice its voxels at most."""
        voxels = 8 * prepared.image.shape[1] * math.prod(prepared.grid.native_shape)
        return WORKER + min(self.in_memory, voxels)

    def room(
        self,
        backend: Backend,
        plan: WindowPlan,
        prepared: Prepared,
        channels: int,
        batch: int,
        ahead: int,
        at_once: bool = False,
    ) -> Room:
        """The largest batch up to ``batch`` that fits, and how many cases can be read meanwhile.

        Args:
            backend: that runs the windows.
            plan: of the windows.
            prepared: the case.
            channels: of the logits.
            batch: the largest that is worth while.
            ahead: cases that are to be read meanwhile, if memory allows.
            at_once: whether all codes are held at once when they are written.

        Raises:
            UserError: not even one window at a time fits; names the floor.
        """
        writer = WORKER + (_AT_ONCE * math.prod(prepared.grid.native_shape) if at_once else 0)
        fixed = resident() + SLACK + _accumulated(plan, prepared, channels) + writer
        shape = prepared.image.shape[1], *plan.size[: plan.spatial_dims]
        batch = _on_card(backend, shape, batch)
        while True:
            windows = 4 * batch * math.prod(plan.size) * (shape[0] + 2 * channels)
            own = backend.peak_bytes((batch, *shape)) if backend.free_bytes() is None else 0
            expected = fixed + windows + own
            if expected <= self.num_bytes:
                reader = self.reader(prepared)
                ahead = max(0, min(ahead, (self.num_bytes - expected - writer) // reader))
                return Room(batch, ahead, expected + (ahead * reader + writer if ahead else 0))
            if batch == 1:
                raise UserError(
                    f"segmenting takes at least {gib(expected + _HUNDREDTH)} GiB here, and "
                    f"{gib(self.num_bytes)} GiB are allowed: allow more (segment --max-memory), "
                    "or name a smaller patch_size in the bundle's inferer"
                )
            batch //= 2


def gib(num_bytes: int) -> str:
    """``num_bytes`` in GiB, for a sentence."""
    return f"{num_bytes / 2**30:.2f}"


def resident() -> int:
    """Bytes of this process that lie in memory now; 0 where that cannot be told."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


def _on_card(backend: Backend, shape: tuple[int, ...], batch: int) -> int:
    """The largest batch of windows (C, *S) that fits on a card, if there is one; at least 1."""
    card = backend.free_bytes()
    while card is not None and batch > 1 and backend.peak_bytes((batch, *shape)) > card:
        batch //= 2
    return batch


def _accumulated(plan: WindowPlan, prepared: Prepared, channels: int) -> int:
    plane = max(math.prod(prepared.grid.native_shape[:2]), math.prod(prepared.image.shape[2:]))
    in_channels = prepared.image.shape[1]
    ring = ring_bytes(plan, prepared.grid.slab_axis, in_channels, channels)
    return ring + 4 * channels * plane * _PLANES
