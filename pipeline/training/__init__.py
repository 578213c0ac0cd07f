"""What trainer and evaluator listen to, checkpoints, and several ranks."""

from .averaging import AveragedWeights as AveragedWeights
from .batches import with_domain as with_domain
from .batches import with_image as with_image
from .budget import StopAfter as StopAfter
from .checkpoints import Checkpoints as Checkpoints
from .checkpoints import KeepBest as KeepBest
from .curves import Curves as Curves
from .gradients import ClipGradients as ClipGradients
from .listeners import Listeners as Listeners
from .progress import Progress as Progress
from .ranks import Agree as Agree
from .schedule import Schedule as Schedule
from .stopping import StopEarly as StopEarly
