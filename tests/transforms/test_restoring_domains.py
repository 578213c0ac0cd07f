"""Targets of one domain among those of all."""

import torch
from monai.transforms import Compose

from pipeline.transforms.domains import ByDomain
from pipeline.transforms.restoring_domains import RestoreDomains

DOMAINS = {
    "heart": {"task": {"modalities": ["mri"], "classes": ["background", "NCR/NET", "atrium"]}},
    "liver": {"task": {"modalities": ["ct"], "classes": ["background", "liver"]}},
}


def test_a_target_with_a_slash_in_its_name_has_the_place_of_its_domain():
    preprocessing = ByDomain({name: Compose([]) for name in (None, "heart", "liver")})
    restoring = RestoreDomains(DOMAINS, "liver", preprocessing)
    assert restoring.places == {None: [2], "heart": [0, 1], "liver": [2]}
    among = restoring._among_all(torch.ones(2, 3), restoring.places["heart"])
    assert among[:2].eq(1).all()
    assert among[2].isnan().all()
