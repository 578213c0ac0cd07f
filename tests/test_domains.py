"""Several domains: which cases, patches and targets belong to which."""

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from pipeline.data.loaders import labelled, records, training_split
from pipeline.errors import UserError
from pipeline.inference.inferer import DomainWindows
from pipeline.tasks import network_domains, of_domain
from pipeline.transforms import domain_patches, preprocessing, restore_domains

DOMAINS = {
    "brain": {
        "task": {"modalities": ["t1", "t2"], "regions": ["WT"]},
        "spacing": [2.0, 2.0, 2.0],
        "patch_size": [8, 8, 8],
        "pools": 2,
    },
    "heart": {
        "task": {"modalities": ["mri"], "classes": ["background", "left", "right"]},
        "spacing": None,
        "patch_size": [4, 8, 4],
        "pools": 1,
    },
}
TASK = DOMAINS["brain"]["task"]
RECIPE = {"foreground_margin": None, "spacing": [2.0, 2.0, 2.0]}


def write_case(folder: Path, *modalities: str) -> None:
    """A case of 8 voxels of 1 mm, labelled 1 in one half."""
    folder.mkdir(parents=True)
    label = np.zeros((8, 8, 8), np.uint8)
    label[:4] = 1
    for number, name in enumerate(modalities, start=1):
        image = np.full(label.shape, number, np.int16) + label
        nib.save(nib.Nifti1Image(image, np.eye(4)), folder / f"{name}.nii.gz")
    nib.save(nib.Nifti1Image(label, np.eye(4)), folder / "seg.nii.gz")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two cases a domain, of which one has a namesake in the other domain."""
    for name in ("b", "same"):
        write_case(tmp_path / "brain" / name, "t1", "t2")
    for name in ("h", "same"):
        write_case(tmp_path / "heart" / name, "mri")
    return tmp_path


def sample(domain: str | None, channels: int) -> dict[str, object]:
    """A training sample of ones, whose first voxel is of a target."""
    label = torch.zeros(1, 12, 12, 12)
    label[0, 0, 0, 0] = 1
    volumes = {"image": MetaTensor(torch.ones(channels, 12, 12, 12)), "label": MetaTensor(label)}
    return volumes if domain is None else {**volumes, "domain": domain}


def test_an_entry_that_is_missing_is_told():
    assert of_domain(DOMAINS, "heart", "pools") == 1
    with pytest.raises(UserError, match=r"no domain 'hart' in domains: did you mean heart\?"):
        of_domain(DOMAINS, "hart", "pools")
    with pytest.raises(UserError, match="domain heart has no spacing: add it in domains"):
        of_domain({"heart": {"pools": 1}}, "heart", "spacing")


def test_channels_of_a_domain_follow_from_its_task():
    assert network_domains(DOMAINS) == {
        "brain": {"in_channels": 2, "out_channels": 1, "pools": 2},
        "heart": {"in_channels": 1, "out_channels": 3, "pools": 1},
    }


def test_a_case_knows_its_domain_and_namesakes_are_told_apart(root):
    found = records(labelled(str(root), TASK, "brats2023", DOMAINS))
    assert [(entry["case"], entry["domain"], entry["convention"]) for entry in found] == [
        ("b", "brain", "brats2023"),
        ("brain_same", "brain", "brats2023"),
        ("h", "heart", "classes"),
        ("heart_same", "heart", "classes"),
    ]


def test_one_cohort_has_cases_without_a_domain(root):
    found = records(labelled(str(root / "brain"), TASK, "brats2023", DOMAINS))
    assert [entry["case"] for entry in found] == ["b", "same"]
    assert all("domain" not in entry for entry in found)


def test_a_domain_without_a_folder_is_told(root):
    with pytest.raises(UserError, match=r"no folder .*/lung with the cases of domain lung"):
        labelled(str(root), TASK, "brats2023", {**DOMAINS, "lung": DOMAINS["heart"]})


def test_a_convention_of_no_domain_is_told_with_the_nearest(root):
    with pytest.raises(UserError, match=r"'brats2032' .* no domain: did you mean brats2023\?"):
        labelled(str(root), TASK, "brats2032", DOMAINS)


def test_every_domain_trains_and_validates(root, tmp_path):
    cohort = labelled(str(root), TASK, "brats2023", DOMAINS)
    for seed in range(4):
        split = training_split(cohort, None, str(tmp_path), 0.2, seed)
        for names in (split.train, split.validation):
            domains = [cohort.labelled[name].domain for name in names]
            assert domains == ["brain", "heart"]


def test_the_split_of_a_run_on_other_cases_is_not_used(root, tmp_path):
    (tmp_path / "split.json").write_text(json.dumps({"train": ["x"], "validation": ["y"]}))
    cohort = labelled(str(root), TASK, "brats2023", DOMAINS)
    split = training_split(cohort, None, str(tmp_path), 0.2, 0)
    assert sorted(split.train + split.validation) == sorted(cohort.labelled)


def test_each_domain_is_prepared_at_its_own_spacing(root):
    prepare = preprocessing(RECIPE, TASK, ("image", "label"), DOMAINS)
    found = records(labelled(str(root), TASK, "brats2023", DOMAINS))
    brain, heart = prepare(found[0]), prepare(found[2])
    assert (brain["image"].shape, heart["image"].shape) == ((2, 4, 4, 4), (1, 8, 8, 8))
    assert brain["label"].shape == (1, 4, 4, 4)


def test_each_domain_has_patches_of_its_own_size():
    patches = domain_patches(DOMAINS, "brain", per_case=2)
    patches.set_random_state(seed=0)
    shapes = {
        domain: [part["image"].shape[1:] for part in patches(sample(domain, 1))]
        for domain in ("brain", "heart", None)
    }
    assert shapes == {"brain": 2 * [(8, 8, 8)], "heart": 2 * [(4, 8, 4)], None: 2 * [(8, 8, 8)]}


def test_a_seed_decides_the_patches_of_every_domain():
    patches = domain_patches(DOMAINS, "brain", foreground=0.0)
    volumes = sample("heart", 1) | {"image": MetaTensor(torch.rand(1, 12, 12, 12))}
    drawn = []
    for seed in (1, 2, 1):
        patches.set_random_state(seed=seed)
        drawn.append(patches(volumes)[0]["image"])
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])


def test_windows_have_the_size_of_their_domain():
    windows = DomainWindows(DOMAINS, "brain", spatial_dims=3, overlap=0.0, mode="constant")
    seen = []

    def network(image: torch.Tensor, domain: str | None = None) -> torch.Tensor:
        seen.append((domain, tuple(image.shape[2:])))
        return image

    image = torch.ones(1, 1, 8, 8, 8)
    assert torch.equal(windows(image, network, domain="heart"), image)
    assert torch.equal(windows(image, network), image)
    assert seen == 4 * [("heart", (4, 8, 4))] + [(None, (8, 8, 8))]


@pytest.mark.parametrize(
    ("folder", "pred", "label"),
    [
        (".", [1, None, None], [0.5, None, None]),
        ("brain", [1, None, None], [0.5, None, None]),
    ],
)
def test_targets_of_other_domains_are_missing(root, folder, pred, label):
    prepared, restore = prepared_case(root / folder, 0)
    restored = restore(prepared | {"pred": torch.ones(1, 4, 4, 4)})
    assert [means(restored[key]) for key in ("pred", "label")] == [pred, label]


def test_targets_lie_in_the_order_of_all_domains(root):
    prepared, restore = prepared_case(root, 2)
    logits = torch.tensor([0.0, 0.0, 1.0]).reshape(3, 1, 1, 1).expand(3, 8, 8, 8)
    restored = restore(prepared | {"pred": logits})
    assert means(restored["pred"]) == [None, 0, 1]
    assert means(restored["label"]) == [None, 0.5, 0]
    assert torch.equal(restored["label"].affine, prepared["label"].affine)


def test_where_one_domain_is_at_work_only_its_targets_are_restored(root):
    task = DOMAINS["heart"]["task"]
    prepare = preprocessing({**RECIPE, "spacing": None}, task)
    (entry,) = records(labelled(str(root / "heart"), task), ["h"])
    restored = restore_domains(DOMAINS, "heart", prepare)(
        prepare(entry) | {"pred": torch.ones(3, 8, 8, 8)}
    )
    assert restored["pred"].shape == (2, 8, 8, 8)


def prepared_case(root: Path, index: int) -> tuple[dict[str, Any], Any]:
    """A validation case, and what restores its prediction."""
    prepare = preprocessing(RECIPE, TASK, ("image",), DOMAINS)
    entry = records(labelled(str(root), TASK, "brats2023", DOMAINS))[index]
    return prepare(entry), restore_domains(DOMAINS, "brain", prepare)


def means(targets: torch.Tensor) -> list[float | None]:
    """The mean of each target, None where it is missing."""
    return [None if target.isnan().all() else float(target.mean()) for target in targets]
