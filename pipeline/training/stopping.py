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

    def attach(self, engine: Engine) -> None:
        """Listen to the evaluator, and stop ``engine``, the trainer."""
        self.evaluator.add_event_handler(Events.COMPLETED, self, engine)

    def __call__(self, evaluator: Engine, trainer: Engine) -> None:
        """Compare the best epoch with this one."""
        best = evaluator.state.best_metric_epoch
        if evaluator.state.epoch - best >= self.patience:
            console.print(f"no better score since epoch {best}: the training ends here")
            trainer.terminate()
