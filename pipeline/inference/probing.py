"""What segmenting a case will take, from its plan and one window."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from pipeline.data.cases import Case
from pipeline.data.slabs import opened
from pipeline.inference.memory import gib
from pipeline.inference.plan import WindowPlan
from pipeline.inference.preparing import prepare
from pipeline.inference.segmentation import Segmenter


@dataclass(frozen=True)
class Forecast:
    """What a case will take.

    Args:
        case: its name.
        plans: the windows, one plan a member.
        expected_bytes: of memory at the peak, of all processes.
        seconds: within the network.
    """

    case: str
    plans: tuple[WindowPlan, ...]
    expected_bytes: int
    seconds: float

    def lines(self) -> list[str]:
        """As a person reads it."""
        described = [line for plan in self.plans for line in plan.describe()]
        return [
            f"{self.case}:",
            *(f"  {line}" for line in described),
            f"  {gib(self.expected_bytes)} GiB of memory at the peak, imports included",
            f"  {self.seconds:.1f} s in the network, from one window",
        ]


class Prober:
    """Runs one window of each size, once.

    Args:
        segmenter: whose plans are asked for.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self.segmenter = segmenter
        self.measured: dict[tuple[int, tuple[int, ...]], float] = {}

    def __call__(self, case: Case) -> Forecast:
        """What ``case`` will take.

        Raises:
            UserError: a file of the case cannot be used, or it does not fit into the memory.
        """
        own = self.segmenter
        with TemporaryDirectory() as folder:
            with opened(case, own.task, Path(folder), own.limit.in_memory) as files:
                prepared = [
                    prepare(files.channels, files.affine, recipe, Path(folder) / str(number))
                    for number, recipe in enumerate(own.recipes)
                ]
            del files  # and the volumes, which another process reads when it is segmented
            plans, rooms = own.plans(prepared), own.rooms(prepared)
        seconds = [
            len(plan.starts) * len(plan.flips(own.mirror[member])) * self._window(member, plan)
            for member, plan in enumerate(plans)
        ]
        return Forecast(case.name, tuple(plans), max(room.expected for room in rooms), sum(seconds))

    def _window(self, member: int, plan: WindowPlan) -> float:
        """Seconds of one window in the network of ``member``."""
        key = member, plan.size
        if key not in self.measured:
            model = self.segmenter.models[member]
            channels = model.settings.task.in_channels
            window = np.zeros((1, channels, *plan.size[: plan.spatial_dims]), np.float32)
            model.backend(window)  # the first call compiles
            began = perf_counter()
            model.backend(window)
            self.measured[key] = perf_counter() - began
            model.backend.release()
        return self.measured[key]
