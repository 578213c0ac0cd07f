"""What a person sees of a training: a bar with loss and time left, or plain lines."""

from collections.abc import Sequence
from datetime import timedelta
from math import isnan
from time import monotonic

from ignite.engine import Engine, Events
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from pipeline.progress import console


class Progress:
    """A bar over all iterations in a terminal, else one line an epoch.

    Args:
        evaluator: its scores are shown after each validation.
        targets: names of the scores' columns.
    """

    def __init__(self, evaluator: Engine, targets: Sequence[str]) -> None:
        self.evaluator = evaluator
        self.targets = targets
        self.start = 0.0
        self.first = 0
        self.total, self.steps = 0.0, 0
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        self.bar = Bar(*columns, console=console, disable=not console.is_terminal)

    def attach(self, engine: Engine) -> None:
        """Listen to the trainer and its evaluator."""
        engine.add_event_handler(Events.STARTED, self.begin)
        engine.add_event_handler(Events.EPOCH_STARTED, self.begin_epoch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.advance)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.end_epoch)
        engine.add_event_handler(Events.COMPLETED, self.end)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.fail)
        self.evaluator.add_event_handler(Events.COMPLETED, self.scores)

    def begin(self, engine: Engine) -> None:
        """Start the clock and the bar."""
        self.start = monotonic()
        self.item = self.bar.add_task("", total=engine.state.max_epochs * engine.state.epoch_length)
        self.bar.start()

    def begin_epoch(self, engine: Engine) -> None:
        """Forget the losses of the epoch before."""
        self.total, self.steps = 0.0, 0
        self.first = self.first or engine.state.epoch

    def advance(self, engine: Engine) -> None:
        """Show the loss of this iteration."""
        loss = engine.state.output[0]["loss"].item()
        self.total, self.steps = self.total + loss, self.steps + 1
        epochs = f"epoch {engine.state.epoch}/{engine.state.max_epochs}"
        self.bar.update(
            self.item, completed=engine.state.iteration, description=f"{epochs}  loss {loss:.4f}"
        )

    def end_epoch(self, engine: Engine) -> None:
        """Say the mean loss and the time left, where there is no bar."""
        if console.is_terminal:
            return
        done, count = engine.state.epoch, engine.state.max_epochs
        elapsed = monotonic() - self.start
        left = timedelta(seconds=round(elapsed / (done - self.first + 1) * (count - done)))
        loss = self.total / self.steps
        console.print(f"epoch {done}/{count}  loss {loss:.4f}  left {left}", soft_wrap=True)

    def end(self, engine: Engine) -> None:
        """Take the bar away."""
        self.bar.stop()

    def fail(self, engine: Engine, error: BaseException) -> None:
        """Take the bar away before the error is told."""
        self.bar.stop()

    def scores(self, evaluator: Engine) -> None:
        """Show the mean Dice of each target that a case has."""
        details = evaluator.state.metric_details[evaluator.state.key_metric_name]
        means = zip(self.targets, details.nanmean(dim=0).tolist(), strict=True)
        text = "  ".join(f"{name} {mean:.3f}" for name, mean in means if not isnan(mean))
        console.print(f"validation  mean Dice {text}", soft_wrap=True)
