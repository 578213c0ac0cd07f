"""Gradient clipping."""

from ignite.engine import Engine
from monai.engines import IterationEvents
from torch import nn
from torch.nn.utils import clip_grad_norm_


class ClipGradients:
    """Scale the gradients of each step down to a norm of at most ``max_norm``.

    Args:
        network: whose gradients are clipped.
        max_norm: largest Euclidean norm of all gradients together.
    """

    def __init__(self, network: nn.Module, max_norm: float) -> None:
        self.network = network
        self.max_norm = max_norm

    def attach(self, engine: Engine) -> None:
        """Listen to the trainer."""
        engine.add_event_handler(IterationEvents.BACKWARD_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Clip between the backward pass and the step."""
        if engine.scaler is not None:
            engine.scaler.unscale_(engine.optimizer)
        clip_grad_norm_(self.network.parameters(), self.max_norm)
