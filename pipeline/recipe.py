"""Preprocessing as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import UserError, nearest


@dataclass(frozen=True)
class Recipe:
    """What happens to an image before the network sees it, in this order.

    Args:
        foreground_margin: voxels kept around the box of non-zero voxels; None keeps everything.
        intensity: "nonzero_zscore" (each modality to mean 0 and deviation 1 over its non-zero
            voxels, the MR convention) or None.
        orientation: axis codes of the working grid.
        spacing: of the working grid, mm per voxel; None keeps the image's own.
    """

    foreground_margin: int | None = 0
    intensity: str | None = "nonzero_zscore"
    orientation: str = "RAS"
    spacing: Sequence[float] | None = None

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Recipe":
        """The recipe that the ``recipe`` key of a bundle describes.

        Raises:
            UserError: an entry is unknown, or its value is.
        """
        known = list(cls.__dataclass_fields__)
        for key in config:
            if key not in known:
                raise UserError(f"recipe has no entry {key!r}: {nearest(key, known)}")
        recipe = cls(**config)
        if recipe.intensity not in (None, "nonzero_zscore"):
            raise UserError(f"recipe has an unknown intensity {recipe.intensity!r}: nonzero_zscore")
        if not (recipe.spacing is None or _are_numbers(recipe.spacing)):
            raise UserError(
                f"spacing {recipe.spacing!r} is no list of numbers: give three in mm, or null"
            )
        margin = recipe.foreground_margin
        if margin is not None and not (isinstance(margin, int) and margin >= 0):
            raise UserError(
                f"recipe has the foreground_margin {margin!r}: give a whole number of voxels, or "
                "null"
            )
        axes = str(recipe.orientation).translate(str.maketrans("LPI", "RAS"))
        if sorted(axes) != sorted("RAS"):
            raise UserError(
                f"recipe has an unknown orientation {recipe.orientation!r}: name three axes, as RAS"
            )
        return recipe


def _are_numbers(values: Any) -> bool:
    if not isinstance(values, list | tuple):
        return False
    return 1 <= len(values) <= 3 and all(isinstance(value, int | float) for value in values)
