"""Windows whose size depends on the domain of the volume."""

from collections.abc import Callable, Mapping
from typing import Any

from monai.inferers import Inferer
from torch import Tensor

from pipeline.inference.windows import windows
from pipeline.tasks import of_domain


class DomainWindows(Inferer):
    """Overlapping windows over a volume, of the patch size of its domain.

    Args:
        domains: see ``pipeline.tasks.of_domain``.
        domain: of volumes that name none.
        how: see ``pipeline.inference.windows``.
    """

    def __init__(self, domains: Mapping[str, Mapping[str, Any]], domain: str, **how: Any) -> None:
        super().__init__()
        self.domain = domain
        self.windows = {
            name: windows(patch_size=of_domain(domains, name, "patch_size"), **how)
            for name in domains
        }

    def __call__(
        self, inputs: Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Logits (1, K, *S) of ``inputs`` (1, C, *S), which is of the keyword ``domain``."""
        windows = self.windows[kwargs.get("domain", self.domain)]
        return windows(inputs, network, *args, **kwargs)
