"""Keep the best and the last weights of a run."""

from pathlib import Path

from ignite.engine import Engine, Events
from torch import nn

from pipeline.bundles import WEIGHTS
from pipeline.files import write_json
from pipeline.progress import console
from pipeline.weights import derive_torch_weights, write_weights


class KeepBest:
    """Write the bundle's weights whenever the evaluator's key metric is better than before.

    Args:
        evaluator: whose key metric decides.
        network: whose weights are kept.
        output_dir: root of the run.
    """

    def __init__(self, evaluator: Engine, network: nn.Module, output_dir: str) -> None:
        self.evaluator = evaluator
        self.network = network
        self.path = Path(output_dir) / WEIGHTS

    def attach(self, engine: Engine) -> None:
        """Listen to the evaluator while ``engine`` trains."""
        self.evaluator.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write the weights if this validation was the best one."""
        if engine.state.best_metric_epoch == engine.state.epoch:
            write_weights(self.network, self.path)
            derive_torch_weights(self.path)


class KeepLast:
    """Write ``checkpoints/last.safetensors`` after every epoch and on interruption.

    An interruption (Ctrl-C) ends the process with a sentence that says where the checkpoint is. A
    run that ends before its first validation takes the last weights for its best.

    Args:
        network: whose weights are kept.
        output_dir: root of the run.
    """

    def __init__(self, network: nn.Module, output_dir: str) -> None:
        self.network = network
        self.root = Path(output_dir)
        self.path = self.root / "checkpoints/last.safetensors"

    def attach(self, engine: Engine) -> None:
        """Listen to the trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self.complete)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.interrupt)

    def __call__(self, engine: Engine) -> None:
        """Write the weights of this moment."""
        write_weights(self.network, self.path)
        position = {"epoch": engine.state.epoch, "iteration": engine.state.iteration}
        write_json(self.path.with_suffix(".json"), position)

    def complete(self, engine: Engine) -> None:
        """Give a run that was never validated its last weights."""
        best = self.root / WEIGHTS
        if not best.exists():
            write_weights(self.network, best)
            derive_torch_weights(best)

    def interrupt(self, engine: Engine, error: BaseException) -> None:
        """Keep what was learnt, then end."""
        if not isinstance(error, KeyboardInterrupt):
            raise error
        self(engine)
        self.complete(engine)
        console.print(
            f"interrupted in epoch {engine.state.epoch}: the last weights are in {self.path}, "
            f"the best in {self.root / WEIGHTS}",
            soft_wrap=True,
        )
        raise SystemExit(130)
