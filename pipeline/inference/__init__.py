"""From a bundle and cases to label files on the grid of the input."""

from .predictions import SavePredictions as SavePredictions
from .segmentation import Segmenter as Segmenter
