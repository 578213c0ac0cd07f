"""From files to tensors on one working grid, and back to the grid of the input."""

from .augmentation import augmentation as augmentation
from .domains import ByDomain as ByDomain
from .domains import domain_patches as domain_patches
from .loading import LoadCase as LoadCase
from .recipes import preprocessing as preprocessing
from .restoring import Restore as Restore
from .restoring import paint as paint
from .restoring_domains import restore_domains as restore_domains
from .sampling import patches as patches
