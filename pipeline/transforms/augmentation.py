"""Random changes of a training sample."""

from collections.abc import Hashable, Mapping, Sequence
from math import radians
from typing import Any

from monai.transforms import (
    Compose,
    RandAdjustContrastd,
    RandAffined,
    RandFlipd,
    RandGaussianNoised,
    RandHistogramShiftd,
    RandomizableTransform,
    RandScaleIntensityd,
    RandShiftIntensityd,
    RandSmoothDeformd,
)

KEYS = ("image", "label")

_CONTROL_POINTS = 5  # of a deformation, along each axis


def augmentation(
    spatial_dims: int = 3,
    flip: float = 0.5,
    rotation: float = 15.0,
    scaling: float = 0.15,
    deformation: float = 0.0,
    intensity: float = 0.1,
    histogram: int | None = None,
    noise: float = 0.1,
    gamma: Sequence[float] = (0.7, 1.5),
    probability: float = 0.3,
) -> Compose:
    """Flips, rotation, scaling, deformation; intensity shift and scale, histogram, noise, gamma.

    More parameters than a function should have, because each is one line of a bundle's config.

    Args:
        spatial_dims: 2 or 3.
        flip: probability of a flip along each axis.
        rotation: largest angle about each axis, degrees.
        scaling: largest relative change of size.
        deformation: see ``Deformation``; 0 for none.
        intensity: largest shift (in deviations of the image) and relative change of scale, drawn
            for each channel.
        histogram: control points of a random monotonous map of intensities; None for no map.
        noise: deviation of Gaussian noise (in deviations of the image).
        gamma: range of the exponent that the rescaled image is raised to.
        probability: of rotation with scaling, of deformation, histogram, noise, and gamma, each.
    """
    steps: list[Any] = [RandFlipd(KEYS, prob=flip, spatial_axis=i) for i in range(spatial_dims)]
    if deformation:
        steps.append(Deformation(deformation, probability))
    steps += [
        RandAffined(
            KEYS,
            prob=probability,
            rotate_range=[radians(rotation)] * (3 if spatial_dims == 3 else 1),
            scale_range=[scaling] * spatial_dims,
            mode=("bilinear", "nearest"),
            padding_mode="zeros",
        ),
        RandScaleIntensityd("image", factors=intensity, prob=1.0, channel_wise=True),
        RandShiftIntensityd("image", offsets=intensity, prob=1.0, channel_wise=True),
    ]
    if histogram is not None:
        steps.append(RandHistogramShiftd("image", num_control_points=histogram, prob=probability))
    steps += [
        RandGaussianNoised("image", prob=probability, std=noise),
        RandAdjustContrastd("image", probability, gamma=(gamma[0], gamma[1]), retain_stats=True),
    ]
    return Compose(steps)


class Deformation(RandomizableTransform):
    """A smooth random deformation of image and label, whatever their size.

    Control points on a regular grid move at random, and what lies between follows them linearly.

    Args:
        displacement: largest, as a fraction of half the image.
        probability: that a sample is deformed.
    """

    def __init__(self, displacement: float, probability: float) -> None:
        super().__init__(probability)
        self.displacement = displacement

    def __call__(self, sample: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        self.randomize(None)
        if not self._do_transform:
            return dict(sample)
        shape = sample["image"].shape[1:]
        deform = RandSmoothDeformd(
            KEYS,
            spatial_size=shape,
            rand_size=[_CONTROL_POINTS] * len(shape),
            field_mode="trilinear" if len(shape) == 3 else "bilinear",
            prob=1.0,
            def_range=self.displacement,
            grid_mode=["bilinear", "nearest"],
            grid_padding_mode="zeros",
            grid_align_corners=True,  # as the grid itself is made, from centre to centre
        )
        deform.set_random_state(seed=int(self.R.randint(2**31)))
        return dict(deform(sample))
