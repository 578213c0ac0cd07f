"""TensorBoard curves: losses by part, learning rate, scores by target, and a picture."""

from collections.abc import Sequence
from math import isnan
from typing import Any

from ignite.engine import Engine, Events
from torch import nn
from torch.optim import Optimizer
from torch.utils.tensorboard import SummaryWriter

from pipeline.training.panel import panel


class Curves:
    """Write curves into ``<output_dir>/curves``, and a picture of a case at each validation.

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
        self.iteration = 0

    def attach(self, engine: Engine) -> None:
        """Listen to the trainer and its evaluator."""
        engine.add_event_handler(Events.EPOCH_STARTED, self.begin_epoch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.losses)
        self.evaluator.add_event_handler(Events.ITERATION_COMPLETED(once=1), self.picture)
        self.evaluator.add_event_handler(Events.COMPLETED, self.scores)
        engine.add_event_handler(Events.COMPLETED, self.close)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.close)

    def begin_epoch(self, engine: Engine) -> None:
        """Write the learning rate; a run that goes on replaces what it had written beyond."""
        if self.writer is None:
            self.writer = SummaryWriter(self.folder, purge_step=engine.state.iteration + 1)
        if engine.state.iteration % engine.state.epoch_length == 0:
            rate = self.optimizer.param_groups[0]["lr"]
            self.writer.add_scalar("learning_rate", rate, engine.state.iteration + 1)

    def losses(self, engine: Engine) -> None:
        """Write the loss of this iteration and its parts."""
        self.iteration = engine.state.iteration
        loss = engine.state.output[0]["loss"].item()
        self.writer.add_scalar("loss/total", loss, self.iteration)
        for name, value in getattr(self.loss, "parts", {}).items():
            self.writer.add_scalar(f"loss/{name}", float(value), self.iteration)
        self.writer.flush()

    def picture(self, evaluator: Engine) -> None:
        """Draw image, reference and prediction of the validation's first case."""
        if self.writer is not None:
            sample, output = evaluator.state.batch[0], evaluator.state.output[0]
            picture = panel(sample, output, self.targets)
            self.writer.add_image("validation", picture, self.iteration, dataformats="HWC")

    def scores(self, evaluator: Engine) -> None:
        """Write the mean of each score for each target."""
        if self.writer is None:
            return
        for metric, details in evaluator.state.metric_details.items():
            means = details.nanmean(dim=0).tolist()
            for target, mean in zip(self.targets, means, strict=True):
                if not isnan(mean):  # of a domain without a case
                    name = f"{metric.removeprefix('mean_')}/{target}"
                    self.writer.add_scalar(name, mean, self.iteration)

    def close(self, engine: Engine, error: BaseException | None = None) -> None:
        """Write what is buffered."""
        if self.writer is not None:
            self.writer.close()
