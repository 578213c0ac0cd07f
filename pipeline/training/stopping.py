"""Early stopping."""

from ignite.engine import Engine, Events

from pipeline.progress import console


class StopEarly:
    """End the training when the key metric has not improved for ``patience`` epochs.

    Args:
        evaluator: whose key metric decides.
        patience: epochs.
    """

    def __init__(self, evaluator: Engine, patience: int) -> None:
        self.evaluator = evaluator
        self.patience = patience
        self.stopped = False

    def attach(self, engine: Engine) -> None:
        """Listen to the evaluator, and stop ``engine``, the trainer."""
        self.evaluator.add_event_handler(Events.COMPLETED, self, engine)
        engine.add_event_handler(Events.EPOCH_STARTED, self.stay_stopped)

    def __call__(self, evaluator: Engine, trainer: Engine) -> None:
        """Compare the best epoch with this one."""
        best = evaluator.state.best_metric_epoch
        if evaluator.state.epoch - best >= self.patience:
            console.print(f"no better score since epoch {best}: the training ends here")
            self.stopped = True
            trainer.terminate()

    def stay_stopped(self, trainer: Engine) -> None:
        """End a training that goes on from where it was stopped."""
        if self.stopped:
            console.print("the training had ended early: it does not go on")
            trainer.terminate()

    def state_dict(self) -> dict[str, bool]:
        """Whether it has stopped the training."""
        return {"stopped": self.stopped}

    def load_state_dict(self, state: dict[str, bool]) -> None:
        """Go on from there."""
        self.stopped = state["stopped"]
