"""A training that ends when its budget is spent."""

import re
from pathlib import Path
from time import monotonic

import torch
from ignite.engine import Engine, Events
from torch.optim import Optimizer

from pipeline.errors import UserError
from pipeline.files import write_json

SPENT = "budget.json"
"""In the folder of a run whose budget is spent: iterations, seconds, memory of GPU and process."""


class StopAfter:
    """End a training of one process after so many seconds or iterations, at a rate of zero.

    The learning rate falls as (1 - spent / budget) ** 0.9, step by step, so that it reaches its end
    when the training does, however fast the machine is. The clock runs while the trainer does: what
    is read, checked and cached before is free. A run that goes on has spent what its last
    checkpoint says.

    Args:
        optimizer: whose learning rate falls.
        output_dir: root of the run, where ``budget.json`` tells what was spent.
        seconds: that may pass; None for any.
        iterations: that may pass; None for any.

    Raises:
        UserError: not exactly one of ``seconds`` and ``iterations`` is given, and above zero.
    """

    power = 0.9

    def __init__(
        self,
        optimizer: Optimizer,
        output_dir: str,
        seconds: float | None = None,
        iterations: int | None = None,
    ) -> None:
        if (seconds is None) == (iterations is None) or (seconds or iterations or 0) <= 0:
            raise UserError("StopAfter takes seconds or iterations, one of the two and above zero")
        self.optimizer = optimizer
        self.path = Path(output_dir) / SPENT
        self.seconds = seconds
        self.iterations = iterations
        self.before = 0.0
        self.began = monotonic()
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])

    def attach(self, engine: Engine) -> None:
        """Listen to the trainer."""
        engine.add_event_handler(Events.STARTED, self.begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self.tell)

    def begin(self, engine: Engine) -> None:
        """Start the clock."""
        self.began = monotonic()

    def __call__(self, engine: Engine) -> None:
        """Lower the rate, and end the training once nothing is left."""
        left = max(0.0, 1 - self._spent(engine.state.iteration))
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * left**self.power
        if left == 0:
            engine.terminate()

    def tell(self, engine: Engine) -> None:
        """Write what was spent."""
        on_gpu = torch.cuda.is_available() and torch.cuda.max_memory_allocated() > 0
        write_json(
            self.path,
            {
                "iterations": engine.state.iteration,
                "seconds": self._elapsed(),
                "gpu_gib": torch.cuda.max_memory_allocated() / 2**30 if on_gpu else None,
                "peak_gib": _peak_gib(),
            },
        )

    def state_dict(self) -> dict[str, float]:
        """The seconds so far."""
        return {"seconds": self._elapsed()}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Go on after so many seconds."""
        self.before = state["seconds"]
        self.began = monotonic()

    def _elapsed(self) -> float:
        return self.before + monotonic() - self.began

    def _spent(self, iteration: int) -> float:
        """The fraction of the budget that is spent."""
        if self.iterations is not None:
            return iteration / self.iterations
        return self._elapsed() / self.seconds if self.seconds else 1.0


def _peak_gib() -> float | None:
    """Of this process alone; what the system tells who waits for it begins at the peak of that."""
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.is_file() else None
    return int(found[1]) / 2**20 if found else None
