"""From a bundle and cases to label files on the grid of the input."""

from .segmentation import Segmenter as Segmenter
