"""Averaged weights: what validation sees and what is kept as the best."""

from ignite.engine import Engine, Events
from torch import Tensor, nn

from pipeline.distributed import share_buffers


class AveragedWeights:
    """An exponential moving average of the weights, validated and kept in their place.

    Training goes on with the weights themselves, and ends with the average. The average forgets
    faster in the beginning (decay (1 + t) / (10 + t) after t iterations, at most ``decay``).

    Args:
        network: whose weights are averaged.
        evaluator: sees the average during its runs.
        decay: share of the old average that is kept at each iteration.
    """

    def __init__(self, network: nn.Module, evaluator: Engine, decay: float = 0.999) -> None:
        self.network = network
        self.evaluator = evaluator
        self.decay = decay
        self.average: dict[str, Tensor] = {}
        self.trained: dict[str, Tensor] = {}

    def attach(self, engine: Engine) -> None:
        """Listen to the trainer and its evaluator."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.update)
        self.evaluator.add_event_handler(Events.STARTED, self.swap_in)
        self.evaluator.add_event_handler(Events.COMPLETED, self.swap_out)
        self.evaluator.add_event_handler(Events.EXCEPTION_RAISED, self.fail)
        engine.add_event_handler(Events.COMPLETED, self.swap_in)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self.interrupt)

    def update(self, engine: Engine) -> None:
        """Move the average towards the weights of this iteration."""
        state = self._state()
        if not self.average:
            self.average = {name: value.clone() for name, value in state.items()}
        step = engine.state.iteration
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in state.items():
            average = self.average[name]
            if value.is_floating_point():
                average.lerp_(value, 1 - decay)
            else:
                average.copy_(value)

    def swap_in(self, evaluator: Engine) -> None:
        """Give the network the average, with the buffers of rank 0."""
        if self.average:
            self.trained = {name: value.clone() for name, value in self._state().items()}
            self.network.load_state_dict(self.average)
            share_buffers(self.network)

    def swap_out(self, evaluator: Engine) -> None:
        """Give the network its own weights back."""
        if self.trained:
            self.network.load_state_dict(self.trained)
            self.trained = {}

    def fail(self, evaluator: Engine, error: BaseException) -> None:
        """Give the weights back before the error is told."""
        self.swap_out(evaluator)
        raise error

    def interrupt(self, engine: Engine, error: BaseException) -> None:
        """End an interrupted training with the average too; ranks may be at different points."""
        if isinstance(error, KeyboardInterrupt) and self.average:
            self.network.load_state_dict(self.average)

    def state_dict(self) -> dict[str, Tensor]:
        """The average."""
        return self.average

    def load_state_dict(self, average: dict[str, Tensor]) -> None:
        """Go on from an average."""
        state = self._state()
        self.average = {name: value.to(state[name].device) for name, value in average.items()}

    def _state(self) -> dict[str, Tensor]:
        return self.network.state_dict()
