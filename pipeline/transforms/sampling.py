"""Which part of a case a training sample shows."""

from collections.abc import Sequence
from numbers import Integral
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


def check_patch_size(patch_size: Any, spatial_dims: int) -> None:
    """Refuse what is not one whole number for each spatial axis.

    Raises:
        UserError: it is something else.
    """
    numbers = patch_size if isinstance(patch_size, (list, tuple)) else ()
    if len(numbers) != spatial_dims or not all(isinstance(number, Integral) for number in numbers):
        raise UserError(
            f"patch_size {patch_size} does not fit spatial_dims {spatial_dims}: give "
            f"{spatial_dims} whole numbers, one an axis"
        )


def _any_target(label: Tensor) -> Tensor:
    """Where any target is, (1, *S); MONAI would take the first of several for background."""
    return (label > 0).any(dim=0, keepdim=True)
