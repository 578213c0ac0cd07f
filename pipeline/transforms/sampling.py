"""Which part of a case a training sample shows."""

from collections.abc import Sequence

from monai.transforms import (
    Compose,
    DeleteItemsd,
    Lambdad,
    RandCropByPosNegLabeld,
    SpatialPadd,
)
from torch import Tensor

KEYS = ("image", "label")


def patches(patch_size: Sequence[int], per_case: int = 1, foreground: float = 0.5) -> Compose:
    """Random patches; where a case is smaller than the patch it is padded with zeros.

    Args:
        patch_size: voxels.
        per_case: patches drawn from a case each time it is visited.
        foreground: fraction of the patches that are centred on a target, in [0, 1].
    """
    return Compose(
        [
            SpatialPadd(KEYS, spatial_size=patch_size),
            Lambdad("label", func=_any_target, overwrite="centres"),
            RandCropByPosNegLabeld(
                KEYS,
                label_key="centres",
                spatial_size=patch_size,
                pos=foreground,
                neg=1 - foreground,
                num_samples=per_case,
            ),
            DeleteItemsd("centres"),
        ]
    )


def _any_target(label: Tensor) -> Tensor:
    """Where any target is, (1, *S); MONAI would take the first of several for background."""
    return (label > 0).any(dim=0, keepdim=True)
