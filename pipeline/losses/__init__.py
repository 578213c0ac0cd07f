"""Losses of the networks' papers, in 2D and 3D; each keeps the last value of its parts."""

from .autoencoder import AutoencoderLoss as AutoencoderLoss
from .by_task import ByTask as ByTask
from .deep_supervision import DeepSupervision as DeepSupervision
from .dice import DiceCrossEntropy as DiceCrossEntropy
from .dice import SoftDice as SoftDice
from .entropy import CrossEntropy as CrossEntropy
from .hybrid import Hybrid as Hybrid
from .lovasz import LovaszFocal as LovaszFocal
from .presence import Presence as Presence
