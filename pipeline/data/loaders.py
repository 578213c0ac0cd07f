"""Datasets and loaders whose randomness is a function of seed, epoch and index."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import CacheDataset, DataLoader, Dataset, list_data_collate
from monai.transforms import Compose
from torch import Generator

from pipeline.data.batches import EpochBatches, Key
from pipeline.data.cohort_checks import without_refused
from pipeline.data.cohorts import Align, Case, Cohort, find_cohort, written_convention
from pipeline.data.conventions import settled
from pipeline.data.splits import training_split as training_split
from pipeline.distributed import rank, world_size
from pipeline.errors import UserError, nearest
from pipeline.progress import console
from pipeline.tasks import Task, of_domain

Record = dict[str, Any]
"""A case as transforms take it: case, image [(path, channel)], source, label (path), convention.

A case of a training of several domains has its domain too, and one to be aligned has align.
"""


def record(case: Case, convention: str | None) -> Record:
    """``case`` as transforms take it."""
    images = [(str(path), channel) for path, channel in case.images]
    entry: Record = {"case": case.name, "image": images, "source": images[0][0]}
    if case.label is not None:
        entry |= {"label": str(case.label), "convention": case.convention or convention}
    if case.domain is not None:
        entry["domain"] = case.domain
    if case.align is not None:
        entry["align"] = case.align
    return entry


def labelled(
    root: str,
    task: Mapping[str, Any],
    convention: str | None = None,
    domains: Mapping[str, Mapping[str, Any]] | None = None,
    skip_refused: bool = False,
    layout: str | None = None,
    align: str | None = None,
) -> Cohort:
    """The cohort under ``root``, whose labelled cases take part in training.

    Of several domains ``root`` is a folder with one cohort each, in a folder named as the domain,
    and ``convention`` is for those that it fits. It may also be a single cohort: its cases name no
    domain, and belong to the one that the bundle is set to. ``skip_refused`` checks every labelled
    case and goes on without those that are refused. ``layout`` and ``align`` are as in
    ``find_cohort`` and ``pipeline.data.cases.Align``.

    Raises:
        UserError: a case lacks a modality, no case has a label, the convention of the labels is
            neither given nor told by the layout or fits no domain, or the folder of a domain is
            missing.
    """
    folder = Path(root)
    missing = [name for name in domains or () if not (folder / name).is_dir()]
    if domains is None or len(missing) == len(domains):
        found = _found(folder, Task.of(task), layout, align)
        return _of_task(found, Task.of(task), convention, skip_refused)
    if missing:
        raise UserError(
            f"no folder {folder / missing[0]} with the cases of domain {missing[0]}: add it, or "
            "leave the domain out of domains"
        )
    tasks = {name: Task.of(of_domain(domains, name, "task")) for name in domains}
    known = {name for own in tasks.values() for name in own.conventions}
    if convention is not None and convention not in known:
        raise UserError(
            f"labels {convention!r} is a convention of no domain: {nearest(convention, known)}"
        )
    cohorts = {
        name: _of_task(
            _found(folder / name, own, layout, align),
            own,
            convention if convention in own.conventions else None,
            skip_refused,
        )
        for name, own in tasks.items()
    }
    return _joined(folder, cohorts)


def unlabelled(
    root: str,
    task: Mapping[str, Any],
    convention: str | None = None,
    layout: str | None = None,
    align: str | None = None,
) -> Cohort:
    """The cohort under ``root`` for inference, with the convention of the files to be written.

    Raises:
        UserError: a case lacks a modality, or the convention does not fit the task.
    """
    cohort = _found(Path(root), Task.of(task), layout, align, with_labels=False)
    for sentence in cohort.refused.values():
        raise UserError(sentence)
    chosen = written_convention(Task.of(task), cohort, convention)
    cases = tuple(replace(case, label=None) for case in cohort.cases)
    labels = tuple(case.label for case in cohort.cases if case.label is not None)
    return replace(cohort, convention=chosen, cases=cases, labels=labels)


def records(cohort: Cohort, names: Sequence[str] | None = None) -> list[Record]:
    """The cases of ``cohort`` (those in ``names``) as transforms take them."""
    chosen = None if names is None else set(names)
    return [
        record(case, cohort.convention)
        for case in cohort.cases
        if chosen is None or case.name in chosen
    ]


class TrainingSet(Dataset):
    """Cases that are preprocessed once and then sampled and augmented anew in every epoch.

    An item is asked for by ``(epoch, visit, index)`` and depends on nothing but that and the seed:
    neither on the number of workers nor on what was asked for before.

    Args:
        data: records of the cases.
        transform: deterministic; its result is kept for the first ``cache_num`` cases.
        sampling: random; gives one or a list of samples.
        augmentation: random.
        seed: decides all randomness.
        cache_num: preprocessed cases kept in memory.
    """

    def __init__(
        self,
        data: Sequence[Record],
        transform: Compose,
        sampling: Compose,
        augmentation: Compose,
        seed: int,
        cache_num: int,
    ) -> None:
        super().__init__(data)
        self.cases = CacheDataset(
            data, transform, cache_num=cache_num, num_workers=1, progress=False
        )
        self.sampling = sampling
        self.augmentation = augmentation
        self.seed = seed

    def __getitem__(  # type: ignore[override]
        self, key: Key
    ) -> list[dict[str, Any]]:
        index = key[-1]
        seeds = np.random.SeedSequence([self.seed, *key]).generate_state(2)
        self.sampling.set_random_state(seed=int(seeds[0]))
        self.augmentation.set_random_state(seed=int(seeds[1]))
        case = self.cases[index]
        # The order in memory, which the cache changes, would change the last digit of a sum.
        domain = {"domain": case["domain"]} if "domain" in case else {}
        volumes = {key: case[key].contiguous() for key in ("image", "label")}
        samples = self.sampling(volumes | domain)
        samples = samples if isinstance(samples, list) else [samples]
        return [
            {key: changed[key].as_tensor() for key in volumes} | domain
            for changed in map(self.augmentation, samples)
        ]


def shuffled(dataset: TrainingSet, batch_size: int, num_workers: int) -> DataLoader:
    """A loader for training."""
    domains = [entry.get("domain") for entry in dataset.data]
    return DataLoader(
        dataset,
        num_workers,
        batch_sampler=EpochBatches(domains, batch_size, dataset.seed),
        collate_fn=list_data_collate,
        persistent_workers=num_workers > 0,
        generator=Generator(),  # a loader must not draw from the network's randomness
    )


def ordered(dataset: Dataset, num_workers: int) -> DataLoader:
    """A loader for validation and inference: each case once over all ranks, in order.

    Raises:
        UserError: there are fewer cases than processes.
    """
    if len(dataset) < world_size():
        raise UserError(
            f"{world_size()} processes work together and there are {len(dataset)} cases to "
            f"predict: start at most {len(dataset)} processes"
        )
    return DataLoader(
        dataset,
        num_workers,
        batch_size=1,
        sampler=range(rank(), len(dataset), world_size()),
        collate_fn=_alone,
        generator=Generator(),
    )


def _alone(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A batch of one: tensors gain the batch axis, names stand in a list."""
    (sample,) = samples
    tensors = {key: sample[key] for key in ("image", "label") if key in sample}
    batch: dict[str, Any] = list_data_collate([tensors])
    return batch | {key: [sample[key]] for key in ("case", "source", "domain") if key in sample}


def _found(
    root: Path, task: Task, layout: str | None, align: str | None, with_labels: bool = True
) -> Cohort:
    cohort = find_cohort(root, task, layout, with_labels)
    return cohort.aligned(Align(align) if align else None)


def _of_task(cohort: Cohort, task: Task, convention: str | None, skip_refused: bool) -> Cohort:
    if skip_refused:
        labelled = len(cohort.labelled)
        known = convention or cohort.convention
        cohort = without_refused(
            cohort, task, known, lambda text: console.print(text, markup=False)
        )
        if labelled and not cohort.labelled:
            raise UserError(
                f"all {labelled} cases with a label under {cohort.root} are refused: unet-bundles "
                "check lists why"
            )
    for sentence in cohort.refused.values():
        raise UserError(sentence)
    if not cohort.labelled:
        raise UserError(
            f"no case under {cohort.root} has a label: add files such as case/case_seg.nii.gz"
        )
    return settled(cohort, task, convention)


def _joined(root: Path, cohorts: Mapping[str, Cohort]) -> Cohort:
    """One cohort of all; a name that two domains share gets the domain before it."""
    count = Counter(case.name for cohort in cohorts.values() for case in cohort.cases)
    cases = [
        replace(
            case,
            name=case.name if count[case.name] == 1 else f"{domain}_{case.name}",
            domain=domain,
            convention=cohort.convention,
        )
        for domain, cohort in cohorts.items()
        for case in cohort.cases
    ]
    notes = [f"{domain}: {note}" for domain, cohort in cohorts.items() for note in cohort.notes]
    return Cohort(root, None, tuple(cases), notes=tuple(notes))
