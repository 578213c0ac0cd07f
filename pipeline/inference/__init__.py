"""From a bundle and cases to label files on the grid of the input."""

from .domains import DomainWindows as DomainWindows
from .mirroring import Mirrored as Mirrored
from .predictions import SavePredictions as SavePredictions
from .segmentation import Segmenter as Segmenter
from .windows import windows as windows
