"""How cases lie on disk: one layout a file, each with ``recognises(root)`` and ``find(root)``."""

from .found import Found as Found
from .found import Listing as Listing
from .known import listed as listed
