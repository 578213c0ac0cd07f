"""From logits of any of several domains to targets on the grid of the input."""

from collections.abc import Mapping
from typing import Any

import torch
from monai.transforms import Compose, Transform
from torch import Tensor

from pipeline.tasks import Task, of_domain
from pipeline.transforms.domains import ByDomain
from pipeline.transforms.restoring import Restore


def restore_domains(
    domains: Mapping[str, Mapping[str, Any]], domain: str, preprocessing: Compose | ByDomain
) -> "Restore | RestoreDomains":
    """What undoes ``preprocessing``: of ``domain``, or of each domain if it is for all."""
    if isinstance(preprocessing, ByDomain):
        return RestoreDomains(domains, domain, preprocessing)
    return Restore(of_domain(domains, domain, "task"), preprocessing)


class RestoreDomains(Transform):
    """Logits become binary targets on the grid of the input, beside the targets of all domains.

    Those of other domains are NaN.

    Args:
        domains: see ``pipeline.tasks.of_domain``.
        domain: of samples that name none.
        preprocessing: the transforms to undo.

    Shape:
        pred (out_channels of the domain, *working), label of the domain (C, *input) -> both
        (targets of all domains, *input), in the order of ``pipeline.tasks.all_targets``
    """

    def __init__(
        self, domains: Mapping[str, Mapping[str, Any]], domain: str, preprocessing: ByDomain
    ) -> None:
        self.restore = {
            name: Restore(of_domain(domains, name or domain, "task"), transforms)
            for name, transforms in preprocessing.transforms.items()
        }
        owners = [name for name in domains for _ in Task.of(domains[name]["task"]).targets]
        self.places = {
            name: [index for index, owner in enumerate(owners) if owner == (name or domain)]
            for name in self.restore
        }
        self.count = len(owners)

    def __call__(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        name = sample.get("domain")
        restored = self.restore[name](sample)
        for key in ("pred", "label"):
            restored[key] = self._among_all(restored[key], self.places[name])
        return restored

    def _among_all(self, targets: Tensor, places: list[int]) -> Tensor:
        everything = targets.float().new_full((self.count, *targets.shape[1:]), torch.nan)
        everything[places] = targets.float()
        return everything
