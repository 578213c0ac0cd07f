"""What trainer and evaluator listen to, and checkpoints."""

from .checkpoints import KeepBest as KeepBest
from .checkpoints import KeepLast as KeepLast
from .curves import Curves as Curves
from .listeners import Listeners as Listeners
from .progress import Progress as Progress
