"""Transforms that differ between the domains of a training."""

from collections.abc import Mapping
from typing import Any

from monai.transforms import Compose, Transform

from pipeline.tasks import of_domain
from pipeline.transforms.sampling import patches


class ByDomain(Transform):
    """The transforms that are meant for the domain of a sample.

    Args:
        transforms: by domain; those of None are for samples that name no domain.
    """

    def __init__(self, transforms: Mapping[str | None, Compose]) -> None:
        self.transforms = dict(transforms)

    def __call__(self, sample: Mapping[str, Any]) -> Any:
        return self.transforms[sample.get("domain")](sample)

    def set_random_state(self, seed: int) -> None:
        """Let ``seed`` decide the randomness of each of them."""
        for transforms in self.transforms.values():
            transforms.set_random_state(seed=seed)


def domain_patches(domains: Mapping[str, Mapping[str, Any]], domain: str, **how: Any) -> ByDomain:
    """Random patches of the size that each domain has.

    Args:
        domains: see ``pipeline.tasks.of_domain``.
        domain: of samples that name none.
        how: see ``pipeline.transforms.patches``.
    """
    by_domain: dict[str | None, Compose] = {
        name: patches(of_domain(domains, name, "patch_size"), **how) for name in domains
    }
    return ByDomain({None: by_domain[domain], **by_domain})
