"""What a batch gives network and loss, in the form of MONAI's ``prepare_batch``."""

from collections.abc import Sequence
from typing import Any

import torch
from monai.engines import default_prepare_batch
from torch import Tensor

Batch = dict[str, Any]
"""What a loader gives: "image" (B, C, *S), "label" where there is one, names."""


def with_image(
    batch: Batch, device: str | torch.device | None = None, non_blocking: bool = False, **to: Any
) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
    """The image, and a target of label and image; no target without a label.

    For losses that compare the output with the image too: ``pipeline.losses.AutoencoderLoss``.
    """
    image, label = default_prepare_batch(batch, device, non_blocking, **to)
    return image, None if label is None else (label, image)


def with_domain(
    batch: Batch, device: str | torch.device | None = None, non_blocking: bool = False, **to: Any
) -> tuple[Any, ...]:
    """The image, the label or None and, if the batch names its "domain", this for the network.

    Returns:
        (image, label), or (image, label, (), {"domain": name}).

    Raises:
        ValueError: the batch mixes domains.
    """
    image, label = default_prepare_batch(batch, device, non_blocking, **to)
    if "domain" not in batch:
        return image, label
    return image, label, (), {"domain": only_name(batch["domain"])}


def only_name(domains: str | Sequence[str]) -> str:
    """The one domain of a batch, which loaders name once for each sample."""
    names = {domains} if isinstance(domains, str) else set(domains)
    if len(names) > 1:
        raise ValueError(f"a batch is of one domain, not of {', '.join(sorted(names))}")
    return names.pop()
