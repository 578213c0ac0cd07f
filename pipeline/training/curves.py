"""TensorBoard curves: losses by part, learning rate, Dice by target."""

from collections.abc import Sequence
from typing import Any

from ignite.engine import Engine, Events
from torch import nn
from torch.optim import Optimizer
from torch.utils.tensorboard import SummaryWriter


class Curves:
    """Write curves into ``<output_dir>/curves``.

    Args:
        evaluator: whose scores are written after each validation.
        optimizer: whose learning rate is written each epoch.
        loss: its ``parts`` are written beside the whole.
        targets: names of the scores' columns.
        output_dir: root of the run.
    """

    def __init__(
        self,
        evaluator: Engine,
        optimizer: Optimizer,
        loss: nn.Module,
        targets: Sequence[str],
        output_dir: str,
    ) -> None:
        self.evaluator = evaluator
        self.optimizer = optimizer
        self.loss = loss
        self.targets = targets
        self.folder = f"{output_dir}/curves"
        self.writer: Any = None

    def attach(self, engine: Engine) -> None:
        """Listen to the trainer and its evaluator."""
        engine.add_event_handler(Events.STARTED, self.open)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.losses)
        engine.add_event_handler(Events.EPOCH_STARTED, self.learning_rate)
        self.evaluator.add_event_handler(Events.COMPLETED, self.scores)
        engine.add_event_handler(Events.COMPLETED, self.close)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.close)

    def open(self, engine: Engine) -> None:
        """Start the file of this run."""
        self.writer = SummaryWriter(self.folder)

    def losses(self, engine: Engine) -> None:
        """Write the loss of this iteration and its parts."""
        iteration = engine.state.iteration
        self.writer.add_scalar("loss/total", float(engine.state.output["loss"]), iteration)
        for name, value in getattr(self.loss, "parts", {}).items():
            self.writer.add_scalar(f"loss/{name}", float(value), iteration)

    def learning_rate(self, engine: Engine) -> None:
        """Write the learning rate of this epoch."""
        rate = self.optimizer.param_groups[0]["lr"]
        self.writer.add_scalar("learning_rate", rate, engine.state.epoch)

    def scores(self, evaluator: Engine) -> None:
        """Write the mean Dice of each target."""
        if self.writer is None:
            return
        (details,) = evaluator.state.metric_details.values()
        for name, mean in zip(self.targets, details.nanmean(dim=0).tolist(), strict=True):
            self.writer.add_scalar(f"dice/{name}", mean, evaluator.state.epoch)

    def close(self, engine: Engine, error: BaseException | None = None) -> None:
        """Write what is buffered."""
        self.writer.close()
