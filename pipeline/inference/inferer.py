"""The windows of a bundle as MONAI's engines call them: full logits from a full image."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from monai.inferers import Inferer
from monai.utils import convert_to_dst_type
from torch import Tensor
from torch.nn import functional

from pipeline.errors import UserError
from pipeline.inference.engine import ABSENT
from pipeline.inference.plan import BLOCK, Extent, Windowing, WindowPlan, plan_windows
from pipeline.tasks import of_domain
from pipeline.transforms.sampling import check_patch_size

Network = Callable[[Tensor], Tensor]

WHOLE = "whole"
"""As ``patch_size``: one window over all of what the network is given."""


class Windows(Inferer):
    """Windows over a volume, or over its axial slices where the network is of 2D.

    They are the windows of ``pipeline.inference.plan``, blended as ``unet-bundles segment`` does.
    A volume smaller than a window is padded with zeros, empty windows are skipped, and what is
    given besides volume and network reaches the network.

    Args:
        spatial_dims: of the network, 2 or 3.
        patch_size: of a window, voxels; "whole" takes the volume as one window.
        overlap: of neighbouring windows, as a fraction of the window, in [0, 1).
        mode: how windows are blended, "gaussian" or "constant".
        batch_size: windows in one call of the network; None takes 16 windows of slices or 1 of 3D.
        mirror: axes of the volume, 0 to 2, over whose mirror images, alone and together, logits
            are averaged. Each axis doubles the time.
        divisor: what sizes of a whole window are rounded up to a multiple of; None asks the
            network.

    Shape:
        (B, C, H, W, D) -> logits (B, K, H, W, D)

    Raises:
        UserError: ``patch_size`` has not one number for each of ``spatial_dims``, or ``overlap``,
            ``mode`` or ``mirror`` is none of these.
    """

    def __init__(
        self,
        spatial_dims: int,
        patch_size: Sequence[int] | str,
        overlap: float = 0.5,
        mode: str = "gaussian",
        batch_size: int | None = None,
        mirror: Sequence[int] = (),
        divisor: int | None = None,
    ) -> None:
        super().__init__()
        whole = patch_size == WHOLE
        if isinstance(patch_size, str) and not whole:
            raise UserError(f"patch_size is a list of voxels or the word whole, not {patch_size!r}")
        if not whole:
            check_patch_size(patch_size, spatial_dims)
        self.spatial_dims = spatial_dims
        self.patch_size = None if whole else tuple(map(int, patch_size))
        self.overlap = overlap
        self.mode = mode
        self.batch_size = batch_size or (16 if spatial_dims == 2 else 1)
        self.mirror = tuple(mirror)
        self.divisor = divisor
        self.windowing()

    def windowing(self, divisor: int = 1) -> Windowing:
        """The same as plain data, for a network of this ``divisor`` if no other was given."""
        return Windowing(
            self.spatial_dims,
            self.patch_size,
            self.divisor or divisor,
            self.overlap,
            self.mode,
            self.mirror,
        )

    def __call__(
        self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Logits of ``inputs``, on its device and of its type."""
        windowing = self.windowing(getattr(network, "divisor", 1))

        def answer(windows: Tensor) -> Tensor:
            return network(windows, *args, **kwargs)

        logits = torch.stack([self._one(image, windowing, answer) for image in inputs])
        return convert_to_dst_type(logits, inputs)[0]

    def _one(self, image: Tensor, windowing: Windowing, network: Network) -> Tensor:
        """Logits (K, *S) of an image (C, *S)."""
        image = image.as_subclass(Tensor)
        _, height, width, depth = image.shape
        plan = plan_windows((height, width, depth), windowing, _occupied(image))
        blend = _Blend(plan, image)
        for start, logits in self._windows(image, plan, network):
            blend.add(start, logits)
        if not plan.starts:  # the network alone knows its channels
            first = plan_windows(plan.shape, windowing).starts[:1]
            ((_, logits),) = self._answers(image, plan, first, network)
            return blend.of_none(logits.shape[0])
        return blend.logits()

    def _windows(
        self, image: Tensor, plan: WindowPlan, network: Network
    ) -> Iterator[tuple[Extent, Tensor]]:
        """The mean logits (K, a, b, c) of each window and its mirror images."""
        for first in range(0, len(plan.starts), self.batch_size):
            starts = plan.starts[first : first + self.batch_size]
            yield from self._answers(image, plan, starts, network)

    def _answers(
        self, image: Tensor, plan: WindowPlan, starts: Sequence[Extent], network: Network
    ) -> Iterator[tuple[Extent, Tensor]]:
        windows = torch.stack([_cut(image, plan, start) for start in starts])
        if plan.spatial_dims == 2:
            windows = windows[..., 0]
        flips = plan.flips(self.mirror)
        total = network(windows).float()
        for flip in flips[1:]:
            axes = [2 + axis for axis in flip]
            total = total + network(windows.flip(axes)).float().flip(axes)
        mean = total if len(flips) == 1 else total / len(flips)
        yield from zip(starts, mean[..., None] if plan.spatial_dims == 2 else mean, strict=True)


class DomainWindows(Inferer):
    """Windows over a volume, of the patch size of its domain.

    Args:
        domains: see ``pipeline.tasks.of_domain``.
        domain: of volumes that name none.
        how: see ``Windows``.
    """

    def __init__(self, domains: Mapping[str, Mapping[str, Any]], domain: str, **how: Any) -> None:
        super().__init__()
        self.domain = domain
        self.windows = {
            name: Windows(patch_size=of_domain(domains, name, "patch_size"), **how)
            for name in domains
        }

    def windowing(self, divisor: int = 1) -> Windowing:
        """How volumes of ``domain`` are seen; see ``Windows``."""
        return self.windows[self.domain].windowing(divisor)

    def __call__(
        self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Logits (B, K, *S) of ``inputs`` (B, C, *S), which is of the keyword ``domain``."""
        windows = self.windows[kwargs.get("domain", self.domain)]
        return windows(inputs, network, *args, **kwargs)


class _Blend:
    """The weighted mean of the logits of windows over a volume."""

    def __init__(self, plan: WindowPlan, image: Tensor) -> None:
        self.plan = plan
        self.empty = image.new_empty(0, dtype=torch.float32)  # has the device
        self.importance = torch.from_numpy(plan.importance()).to(image.device)
        self.weights = self.empty.new_zeros(plan.shape)
        self.sums = self.empty

    def add(self, start: Extent, logits: Tensor) -> None:
        """Add the logits (K, a, b, c) of a window."""
        there, inside = self.plan.places(start)
        if self.plan.alone:
            self.sums = logits[:, *inside]
            return
        if self.sums is self.empty:
            self.sums = self.empty.new_zeros(logits.shape[0], *self.plan.shape)
        self.sums[:, *there] += logits[:, *inside] * self.importance[inside]
        self.weights[there] += self.importance[inside]

    def logits(self) -> Tensor:
        """Logits (K, *S) of the volume."""
        if self.plan.alone:
            return self.sums
        covered = self.weights > 0
        absent = self.of_none(self.sums.shape[0])
        return torch.where(covered, self.sums / self.weights.where(covered, 1), absent)

    def of_none(self, out_channels: int) -> Tensor:
        """Logits (K, *S) where no window is."""
        absent = self.empty.new_full((out_channels, 1, 1, 1), ABSENT[1])
        absent[0] = ABSENT[0]
        return absent.expand(-1, *self.plan.shape)


def _occupied(image: Tensor) -> Any:
    """The blocks (A', B', C') of an image (C, *S) in which some channel is not zero."""
    somewhere = image.ne(0).any(dim=0, keepdim=True).float()
    return functional.max_pool3d(somewhere, BLOCK, ceil_mode=True)[0].bool().cpu().numpy()


def _cut(image: Tensor, plan: WindowPlan, start: Extent) -> Tensor:
    """The window (C, a, b, c) of an image, with zeros beyond it."""
    there, inside = plan.places(start)
    window = image.new_zeros(image.shape[0], *plan.size)
    window[:, *inside] = image[:, *there]
    return window
