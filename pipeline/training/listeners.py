"""A list of listeners as one."""

from collections.abc import Sequence
from typing import Any

from ignite.engine import Engine


class Listeners:
    """Attach each of ``listeners``, MONAI or Ignite handlers with a method ``attach``."""

    def __init__(self, listeners: Sequence[Any]) -> None:
        self.listeners = listeners

    def attach(self, engine: Engine) -> None:
        """Let every listener hear ``engine``."""
        for listener in self.listeners:
            listener.attach(engine)
