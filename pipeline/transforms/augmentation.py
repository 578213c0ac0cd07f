"""Random changes of a training sample."""

from collections.abc import Sequence
from math import radians

from monai.transforms import (
    Compose,
    RandAdjustContrastd,
    RandAffined,
    RandFlipd,
    RandGaussianNoised,
    RandScaleIntensityd,
    RandShiftIntensityd,
)

KEYS = ("image", "label")


def augmentation(
    spatial_dims: int = 3,
    flip: float = 0.5,
    rotation: float = 15.0,
    scaling: float = 0.15,
    intensity: float = 0.1,
    noise: float = 0.1,
    gamma: Sequence[float] = (0.7, 1.5),
    probability: float = 0.3,
) -> Compose:
    """Flips, rotation, scaling, intensity shift and scale, noise, gamma.

    Args:
        spatial_dims: 2 or 3.
        flip: probability of a flip along each axis.
        rotation: largest angle about each axis, degrees.
        scaling: largest relative change of size.
        intensity: largest shift (in deviations of the image) and relative change of scale.
        noise: deviation of Gaussian noise (in deviations of the image).
        gamma: range of the exponent that the rescaled image is raised to.
        probability: of rotation with scaling, of noise, and of gamma, each.
    """
    flips = [RandFlipd(KEYS, prob=flip, spatial_axis=axis) for axis in range(spatial_dims)]
    changes = [
        RandAffined(
            KEYS,
            prob=probability,
            rotate_range=[radians(rotation)] * (3 if spatial_dims == 3 else 1),
            scale_range=[scaling] * spatial_dims,
            mode=("bilinear", "nearest"),
            padding_mode="zeros",
        ),
        RandScaleIntensityd("image", factors=intensity, prob=1.0),
        RandShiftIntensityd("image", offsets=intensity, prob=1.0),
        RandGaussianNoised("image", prob=probability, std=noise),
        RandAdjustContrastd("image", probability, gamma=(gamma[0], gamma[1]), retain_stats=True),
    ]
    return Compose([*flips, *changes])
