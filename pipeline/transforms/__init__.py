"""From files to tensors on one working grid, and back to the grid of the input."""

from .augmentation import augmentation as augmentation
from .loading import LoadCase as LoadCase
from .recipes import Recipe as Recipe
from .recipes import preprocessing as preprocessing
from .restoring import Restore as Restore
from .restoring import paint as paint
from .sampling import patches as patches
