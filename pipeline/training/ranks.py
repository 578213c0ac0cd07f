"""What several processes that train together must agree on."""

import ignite.distributed as idist
from ignite.engine import Engine, Events
from torch import nn

from pipeline.distributed import world_size


class Agree:
    """Every rank tells the mean loss of all, and validates with the buffers of rank 0.

    The running statistics of batch norm differ between ranks, weights do not.

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
        """Listen to the trainer and its evaluator, where there are several ranks."""
        if world_size() > 1:
            engine.add_event_handler(Events.ITERATION_COMPLETED, self.average)
            self.evaluator.add_event_handler(Events.STARTED, self.share_buffers)

    def average(self, engine: Engine) -> None:
        """Replace the loss of this iteration and its parts by their means over the ranks."""
        output = engine.state.output
        output["loss"] = idist.all_reduce(output["loss"].detach()) / world_size()
        parts = getattr(self.loss, "parts", {})
        for name in sorted(parts):
            parts[name] = idist.all_reduce(parts[name]) / world_size()

    def share_buffers(self, evaluator: Engine) -> None:
        """Take the buffers of rank 0."""
        for buffer in self.network.buffers():
            buffer.copy_(idist.broadcast(buffer, src=0))
