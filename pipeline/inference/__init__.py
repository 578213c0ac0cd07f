"""From a bundle and cases to label files on the grid of the input."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.inference.segmentation import Segmenter as Segmenter


def __getattr__(name: str) -> Any:
    """``Segmenter``, imported when it is asked for: processes that read and write need none."""
    if name == "Segmenter":
        from pipeline.inference.segmentation import Segmenter

        return Segmenter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
