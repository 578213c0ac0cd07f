"""Keep the best weights of a run, and all that it takes to go on with it exactly."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from pipeline.bundles import WEIGHTS, last_checkpoint
from pipeline.distributed import gathered, rank, world_size
from pipeline.errors import UserError
from pipeline.files import write_json
from pipeline.progress import console
from pipeline.training.states import packed, randomness, restore_randomness, unpacked
from pipeline.weights import derive_torch_weights, read_weights, write_weights

NETWORK, TENSORS, STATE = "network.safetensors", "state.safetensors", "state.json"


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


class Checkpoints:
    """Write a checkpoint after every epoch and every ``interval`` iterations.

    A checkpoint is a folder ``checkpoints/<iteration>`` that appears whole: the weights
    (``network.safetensors``) and the state of optimiser, schedule, scaler, listeners, best score,
    position and randomness (``state.safetensors`` and ``state.json``). The last one is kept, and
    those of every ``interval`` iterations. With ``resume`` training goes on from the last one as
    if it had never stopped.

    An interruption (Ctrl-C) ends the process with a sentence that says where weights and checkpoint
    are. A run that ends before its first validation takes the last weights for its best; one that
    ends before its first checkpoint keeps nothing.

    Args:
        network: whose weights are kept.
        optimizer: goes on where it was.
        lr_schedule: goes on where it was.
        listeners: those with ``state_dict`` and ``load_state_dict`` go on where they were.
        evaluator: its best score goes on.
        output_dir: root of the run.
        interval: iterations between checkpoints that are kept; None for none.
        resume: whether to go on from the last checkpoint.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        lr_schedule: Any,
        listeners: Sequence[Any],
        evaluator: Engine,
        output_dir: str,
        interval: int | None = None,
        resume: bool = False,
    ) -> None:
        self.network = network
        self.stateful = {"optimizer": optimizer}
        if lr_schedule is not None:
            self.stateful["lr_schedule"] = lr_schedule
        for index, listener in enumerate(listeners):
            if hasattr(listener, "load_state_dict"):
                self.stateful[f"listener{index}"] = listener
        self.evaluator = evaluator
        self.root = Path(output_dir)
        self.interval = interval
        self.resume = resume
        self.loaded = not resume

    def attach(self, engine: Engine) -> None:
        """Listen to the trainer."""
        if self.resume:
            engine.add_event_handler(Events.STARTED, self.load)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)
        if self.interval is not None:
            engine.add_event_handler(Events.ITERATION_COMPLETED(every=self.interval), self.within)
        engine.add_event_handler(Events.COMPLETED, self.complete)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.interrupt)

    def within(self, engine: Engine) -> None:
        """Write a checkpoint in the middle of an epoch; at its end schedule and scores are due."""
        if engine.state.iteration % engine.state.epoch_length:
            self(engine)

    def __call__(self, engine: Engine) -> None:
        """Write a checkpoint of this moment; the one before goes, unless it is to be kept."""
        states = self._states(engine)
        if rank() > 0:
            return
        before = last_checkpoint(self.root)
        folder = self.root / "checkpoints" / f"{engine.state.iteration:08d}"
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        write_weights(self.network, part / NETWORK)
        tensors: dict[str, Tensor] = {}
        write_json(part / STATE, packed(states, tensors))
        save_file(tensors, part / TENSORS)
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
        if before is not None and before != folder and not self._kept(int(before.name)):
            shutil.rmtree(before)

    def load(self, engine: Engine) -> None:
        """Set everything to the last checkpoint.

        Raises:
            UserError: its weights are of another network, or it was written by other processes or
                for other cases.
        """
        folder = last_checkpoint(self.root)
        if folder is None:
            return
        read_weights(self.network, folder / NETWORK)
        tensors = load_file(folder / TENSORS)
        states = unpacked(json.loads((folder / STATE).read_text()), tensors)
        for name, part in self.stateful.items():
            if name in states:  # an older version kept nothing of some listeners
                part.load_state_dict(states[name])
        if engine.scaler is not None and states["scaler"]:
            engine.scaler.load_state_dict(states["scaler"])
        for name, value in states["best"].items():
            setattr(self.evaluator.state, name, value)
        if states["epoch_length"] != engine.state.epoch_length:
            raise UserError(
                f"an epoch of {folder} had {states['epoch_length']} steps and has "
                f"{engine.state.epoch_length} with these cases: give the cases of the run"
            )
        iteration = states["iteration"]
        epoch, done = divmod(iteration, engine.state.epoch_length)
        engine.state.epoch, engine.state.iteration = epoch, iteration
        engine.data_loader.batch_sampler.go_to(epoch, done)
        if len(states["randomness"]) != world_size():
            raise UserError(
                f"{folder} was written by {len(states['randomness'])} processes and {world_size()} "
                "go on with it: start as many as before"
            )
        restore_randomness(states["randomness"][rank()])
        self.loaded = True
        console.print(f"going on after iteration {iteration} of {folder}", soft_wrap=True)

    def complete(self, engine: Engine) -> None:
        """Give a run that was never validated its last weights."""
        best = self.root / WEIGHTS
        if rank() == 0 and self.evaluator.state.best_metric_epoch < 0:
            write_weights(self.network, best)
            derive_torch_weights(best)

    def interrupt(self, engine: Engine, error: BaseException) -> None:
        """Say where everything is, then end."""
        if not isinstance(error, KeyboardInterrupt):
            raise error
        last = last_checkpoint(self.root)
        if last is None:
            what = "before the first checkpoint, so that nothing is kept: start anew"
            for weights in (self.root / WEIGHTS, (self.root / WEIGHTS).with_suffix(".pt")):
                if rank() == 0:
                    weights.unlink(missing_ok=True)  # of a validation before that checkpoint
        else:
            if self.loaded:
                self.complete(engine)
            what = f"the best weights are in {self.root / WEIGHTS}; --resume goes on from {last}"
        console.print(f"interrupted in epoch {engine.state.epoch}: {what}", soft_wrap=True)
        raise SystemExit(130)

    def _states(self, engine: Engine) -> dict[str, Any]:
        names = ("best_metric", "best_metric_epoch")
        states = {name: part.state_dict() for name, part in self.stateful.items()}
        return states | {
            "scaler": engine.scaler.state_dict() if engine.scaler is not None else {},
            "best": {name: getattr(self.evaluator.state, name) for name in names},
            "iteration": engine.state.iteration,
            "epoch_length": engine.state.epoch_length,
            "randomness": gathered(randomness()),
        }

    def _kept(self, iteration: int) -> bool:
        return self.interval is not None and iteration % self.interval == 0
