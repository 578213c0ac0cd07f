"""What several processes that train together must agree on."""

import ignite.distributed as idist
from ignite.engine import Engine, Events
from torch import Tensor, nn

from pipeline.distributed import share_buffers, world_size


class Agree:
    """Every rank tells the mean loss of all, and validates with the buffers of rank 0.

    The running statistics of batch norm differ between ranks, weights do not. An iteration's output
    is left with its loss alone, ``[{"loss": mean}]``, in the form that MONAI's trackers read.

    Args:
        network: not wrapped.
        loss: its ``parts`` are averaged too.
        evaluator: predicts with the network.
    """

    def __init__(self, network: nn.Module, loss: nn.Module, evaluator: Engine) -> None:
        self.network = network
        self.loss = loss
        self.evaluator = evaluator

    def attach(self, engine: Engine) -> None:
        """Listen to the trainer and its evaluator."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.average)
        if world_size() > 1:
            self.evaluator.add_event_handler(Events.STARTED, self.share_buffers)

    def average(self, engine: Engine) -> None:
        """Replace the loss of this iteration and its parts by their means over the ranks."""
        engine.state.output = [{"loss": _mean(engine.state.output["loss"].detach())}]
        parts = getattr(self.loss, "parts", {})
        for name in sorted(parts):
            parts[name] = _mean(parts[name])

    def share_buffers(self, evaluator: Engine) -> None:
        """Take the buffers of rank 0."""
        share_buffers(self.network)


def _mean(value: Tensor) -> Tensor:
    return idist.all_reduce(value.clone()) / world_size() if world_size() > 1 else value
