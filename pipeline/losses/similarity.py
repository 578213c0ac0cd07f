"""Multi-scale structural similarity (Wang et al., 2003, doi:10.1109/ACSSC.2003.1292216)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of each scale, finest first."""

WINDOW = 11
"""Width in voxels of the Gaussian window at every scale."""

SIGMA = 1.5
"""Standard deviation in voxels of the Gaussian window."""

STABILITY = (0.01**2, 0.03**2)
"""What is added to luminance and to contrast, for images with values in [0, 1]."""

FLOOR = 1e-3
"""Least similarity of a scale: at zero, and below, a power has no gradient."""


def num_scales(sizes: Sequence[int]) -> int:
    """How many of the five scales hold a whole window; all from 176 voxels, none below 11."""
    return sum(min(sizes) // 2**scale >= WINDOW for scale in range(len(WEIGHTS)))


def multi_scale_similarity(first: Tensor, second: Tensor) -> Tensor:
    """Similarity of two images in each sample and channel, 1 if they are equal.

    Contrast and structure are compared at every scale, luminance at the coarsest. The weights of
    the scales that fit are made to sum to 1.

    Shape:
        twice (B, C, *S) of values in [0, 1], every S at least 11 -> (B, C)
    """
    scales = num_scales(first.shape[2:])
    pool = (functional.avg_pool2d, functional.avg_pool3d)[first.ndim - 4]
    product = first.new_ones(first.shape[:2])
    with torch.autocast(first.device.type, enabled=False):  # variances need single precision
        for scale in range(scales):
            luminance, contrast = compare(first, second)
            similarity = contrast if scale < scales - 1 else luminance * contrast
            mean = similarity.flatten(2).mean(dim=2).clamp_min(FLOOR)
            product = product * mean ** (WEIGHTS[scale] / sum(WEIGHTS[:scales]))
            first, second = pool(first, 2), pool(second, 2)
    return product


def compare(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance, and contrast with structure, of the windows around each voxel.

    Shape:
        twice (B, C, *S) -> twice (B, C, *S less 10)
    """
    moments = torch.stack((first, second, first * first, second * second, first * second))
    mean_1, mean_2, square_1, square_2, both = window_means(moments, first.ndim - 2)
    variance_1, variance_2 = square_1 - mean_1**2, square_2 - mean_2**2
    covariance = both - mean_1 * mean_2
    least_luminance, least_contrast = STABILITY
    luminance = (2 * mean_1 * mean_2 + least_luminance) / (mean_1**2 + mean_2**2 + least_luminance)
    contrast = (2 * covariance + least_contrast) / (variance_1 + variance_2 + least_contrast)
    return luminance, contrast


def window_means(images: Tensor, spatial_dims: int) -> Tensor:
    """Gaussian mean of each window that lies within the image: (..., *S) -> (..., *S less 10).

    A product of matrices, not a convolution, because GPUs round what convolutions take.
    """
    for size in images.shape[-spatial_dims:]:  # each round moves the first axis to the end
        windows = gaussian_windows(size).to(images)
        images = torch.tensordot(images, windows, dims=([images.ndim - spatial_dims], [0]))
    return images


def gaussian_windows(size: int) -> Tensor:
    """Weight of each of ``size`` voxels in each window: (size, size - 10), columns sum to 1."""
    voxels = torch.arange(size, dtype=torch.float64)
    offsets = voxels[:, None] - voxels[: 1 - WINDOW] - WINDOW // 2
    weights = torch.exp(-((offsets / SIGMA) ** 2) / 2) * (offsets.abs() <= WINDOW // 2)
    return weights / weights.sum(dim=0)
