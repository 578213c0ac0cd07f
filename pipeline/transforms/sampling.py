"""Which part of a case a training sample shows."""

from collections.abc import Sequence

from monai.transforms import Compose, RandCropByPosNegLabeld, SpatialPadd

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
            RandCropByPosNegLabeld(
                KEYS,
                label_key="label",
                spatial_size=patch_size,
                pos=foreground,
                neg=1 - foreground,
                num_samples=per_case,
            ),
        ]
    )
