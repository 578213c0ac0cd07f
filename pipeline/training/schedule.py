"""When the learning rate changes."""

from typing import Any

from ignite.engine import Engine, Events
from torch.optim.lr_scheduler import ReduceLROnPlateau


class Schedule:
    """Step ``lr_schedule`` after each epoch; one that waits for a plateau, after each validation.

    Args:
        lr_schedule: a schedule of ``torch.optim.lr_scheduler`` in epochs (in validations, where it
            is ``ReduceLROnPlateau``), or None for a constant rate.
        evaluator: gives the metric that a plateau is seen in.
        metric: its name, mean_dice or mean_iou.
    """

    def __init__(self, lr_schedule: Any, evaluator: Engine, metric: str) -> None:
        self.lr_schedule = lr_schedule
        self.evaluator = evaluator
        self.metric = metric

    def attach(self, engine: Engine) -> None:
        """Listen to the trainer or its evaluator."""
        if isinstance(self.lr_schedule, ReduceLROnPlateau):
            self.evaluator.add_event_handler(Events.COMPLETED, self.after_validation)
        elif self.lr_schedule is not None:
            engine.add_event_handler(Events.EPOCH_COMPLETED, self.after_epoch)

    def after_epoch(self, engine: Engine) -> None:
        """Go on to the rate of the next epoch."""
        self.lr_schedule.step()

    def after_validation(self, evaluator: Engine) -> None:
        """Tell the schedule what was reached."""
        self.lr_schedule.step(evaluator.state.metrics[self.metric])
