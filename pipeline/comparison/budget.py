"""What each training of a comparison may spend."""

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pipeline.errors import UserError

ITERATIONS_WITHIN_MEMORY = 250
"""Of a training whose budget is memory."""

_SECONDS = {"s": 1, "min": 60, "h": 3600}
_GIB = {"MiB": 2**-10, "GiB": 1, "GB": 1e9 / 2**30}


@dataclass(frozen=True)
class Budget:
    """Seconds, or iterations, or memory, of which exactly one is not None.

    Args:
        text: as it was given.
        seconds: of training, without validation.
        iterations: of training.
        gib: peak memory of a training process.
    """

    text: str
    seconds: float | None = None
    iterations: int | None = None
    gib: float | None = None

    @classmethod
    def of(cls, text: str) -> "Budget":
        """The budget that ``text`` says: 10min, iterations=500 or memory=2GiB.

        Raises:
            UserError: it says none, or nothing at all may be spent.
        """
        time = re.fullmatch(r"([\d.]+)\s*(s|min|h)", text)
        steps = re.fullmatch(r"iterations=(\d+)", text)
        memory = re.fullmatch(r"memory=([\d.]+)\s*(MiB|GiB|GB)", text)
        budget = cls(text)
        with suppress(ValueError):  # of numbers such as 1.2.3
            if time:
                budget = cls(text, seconds=float(time[1]) * _SECONDS[time[2]])
            elif steps:
                budget = cls(text, iterations=int(steps[1]))
            elif memory:
                budget = cls(text, gib=float(memory[1]) * _GIB[memory[2]])
        if not (budget.seconds or budget.iterations or budget.gib):
            raise UserError(
                f"cannot read the budget {text!r}: write 10min, 90s, 1h, iterations=500 or "
                "memory=2GiB"
            )
        return budget

    def overrides(self, listeners: list[Any]) -> dict[str, Any]:
        """What a training is given so that it ends, and its rate with it, at the end of the budget.

        Nothing is validated on the way, so that the last weights are kept and no case chooses them.

        Args:
            listeners: that the training has already.
        """
        steps = ITERATIONS_WITHIN_MEMORY if self.gib else self.iterations
        limit = {"seconds": self.seconds} if self.seconds else {"iterations": steps}
        end = {
            "_target_": "pipeline.training.StopAfter",
            "optimizer": "@optimizer",
            "output_dir": "@output_dir",
        }
        return {
            "max_epochs": NO_END,
            "val_interval": NO_END,
            "lr_schedule": None,
            "listeners": [*listeners, end | limit],
        }


NO_END = 10**6
"""Epochs that no budget lasts for."""
