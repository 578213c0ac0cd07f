"""The command ``unet-bundles``: one verb a file, one dataclass of arguments a verb."""

from .main import VERBS as VERBS
from .main import main as main
