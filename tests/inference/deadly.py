"""A case that kills whoever reads it."""

import os
import signal
from dataclasses import dataclass

from pipeline.data.cases import Case


@dataclass(frozen=True)
class Deadly(Case):
    """A case that kills any process that looks at its images, but for the one of this id."""

    home: int = 0

    def __getattribute__(self, name):
        if name == "images" and os.getpid() != self.home:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getattribute__(name)
