"""Pictures of a case with its labels drawn on top."""

from .lightbox import lightbox as lightbox
from .planes import three_planes as three_planes
from .scenes import PALETTE as PALETTE
from .scenes import canonical as canonical
