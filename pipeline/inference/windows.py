"""How a network of patches sees a whole volume."""

from collections.abc import Callable, Sequence
from typing import Any

from monai.inferers import SliceInferer, SlidingWindowInferer
from torch import Tensor

from pipeline.transforms.sampling import check_patch_size


def windows(
    spatial_dims: int,
    patch_size: Sequence[int],
    overlap: float = 0.5,
    mode: str = "gaussian",
    batch_size: int | None = None,
) -> SlidingWindowInferer:
    """Overlapping windows over a volume, or over its axial slices where the network is of 2D.

    A volume smaller than the patch is padded with zeros. What is given besides volume and network
    reaches the network.

    Args:
        spatial_dims: of the network, 2 or 3.
        patch_size: of a window, voxels.
        overlap: of neighbouring windows, as a fraction of the window, in [0, 1).
        mode: how windows are blended, "gaussian" or "constant".
        batch_size: windows in one call of the network; None takes 16 windows of slices or 1 of 3D.

    Shape:
        (1, C, H, W, D) -> logits (1, K, H, W, D)

    Raises:
        UserError: ``patch_size`` has not one number for each of ``spatial_dims``.
    """
    check_patch_size(patch_size, spatial_dims)
    if spatial_dims == 2:
        return _Slices(
            spatial_dim=2,
            roi_size=tuple(patch_size),
            sw_batch_size=batch_size or 16,
            overlap=overlap,
            mode=mode,
        )
    return SlidingWindowInferer(tuple(patch_size), batch_size or 1, overlap=overlap, mode=mode)


class _Slices(SliceInferer):
    """MONAI's inferer of slices, which by itself drops what is meant for the network."""

    def __call__(
        self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        return super().__call__(inputs, lambda window: network(window, *args, **kwargs))
