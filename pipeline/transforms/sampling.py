"""Which part of a case a training sample shows."""

from collections.abc import Sequence
from typing import Any

from monai.transforms import (
    Compose,
    DeleteItemsd,
    Lambdad,
    RandCropByPosNegLabeld,
    SpatialPadd,
    SqueezeDimd,
)
from torch import Tensor

from pipeline.errors import UserError

KEYS = ("image", "label")


def patches(
    patch_size: Sequence[int], per_case: int = 1, foreground: float = 0.5, spatial_dims: int = 3
) -> Compose:
    """Random patches; where a case is smaller than the patch it is padded with zeros.

    Args:
        patch_size: voxels, along each spatial axis of a patch.
        per_case: patches drawn from a case each time it is visited.
        foreground: fraction of the patches that are centred on a target, in [0, 1].
        spatial_dims: 3, or 2 for patches of slices across the last axis of the working grid, which
            are axial in RAS.

    Shape:
        (C, H, W, D) -> (C, *patch_size)

    Raises:
        UserError: ``patch_size`` has not one number for each of ``spatial_dims``.
    """
    check_patch_size(patch_size, spatial_dims)
    size = list(patch_size) if spatial_dims == 3 else [*patch_size, 1]
    steps: list[Any] = [
        SpatialPadd(KEYS, spatial_size=size),
        Lambdad("label", func=_any_target, overwrite="centres"),
        RandCropByPosNegLabeld(
            KEYS,
            label_key="centres",
            spatial_size=size,
            pos=foreground,
            neg=1 - foreground,
            num_samples=per_case,
        ),
        DeleteItemsd("centres"),
    ]
    if spatial_dims == 2:
        steps.append(SqueezeDimd(KEYS, dim=-1))
    return Compose(steps)


def check_patch_size(patch_size: Sequence[int], spatial_dims: int) -> None:
    """Refuse a patch that has not one number for each spatial axis.

    Raises:
        UserError: it has more or fewer.
    """
    numbers = list(patch_size) if isinstance(patch_size, Sequence) else [patch_size]
    if len(numbers) != spatial_dims:
        raise UserError(
            f"patch_size {numbers} has {len(numbers)} numbers and spatial_dims is {spatial_dims}: "
            "give one number an axis"
        )


def _any_target(label: Tensor) -> Tensor:
    """Where any target is, (1, *S); MONAI would take the first of several for background."""
    return (label > 0).any(dim=0, keepdim=True)
