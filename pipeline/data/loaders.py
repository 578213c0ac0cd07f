"""Datasets and loaders whose randomness is a function of seed, epoch and index."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import CacheDataset, DataLoader, Dataset, list_data_collate
from monai.transforms import Compose
from torch.utils.data import Sampler

from pipeline.data.cohorts import Case, Cohort, find_cohort, written_convention
from pipeline.data.splits import Split
from pipeline.errors import UserError
from pipeline.tasks import Task

Record = dict[str, Any]
"""A case as transforms take it: case, image [(path, channel)], label (path), convention."""


def record(case: Case, convention: str | None) -> Record:
    """``case`` as transforms take it."""
    images = [(str(path), channel) for path, channel in case.images]
    entry: Record = {"case": case.name, "image": images, "source": images[0][0]}
    if case.label is not None:
        entry |= {"label": str(case.label), "convention": convention}
    return entry


def labelled(root: str, task: Mapping[str, Any], convention: str | None = None) -> Cohort:
    """The cohort under ``root``, whose labelled cases take part in training.

    Raises:
        UserError: a case lacks a modality, no case has a label, or the convention of the labels
            is neither given nor told by the layout.
    """
    cohort = find_cohort(Path(root), Task.of(task))
    for sentence in cohort.refused.values():
        raise UserError(sentence)
    if not cohort.labelled:
        raise UserError(f"no case under {root} has a label: add files such as case/case_seg.nii.gz")
    found = convention or cohort.convention
    if found is None:
        raise UserError(
            f"the label values under {root} follow an unknown convention: "
            f"set labels to one of {', '.join(Task.of(task).conventions)}"
        )
    Task.of(task).values(found)
    return replace(cohort, convention=found)


def unlabelled(root: str, task: Mapping[str, Any], convention: str | None = None) -> Cohort:
    """The cohort under ``root`` for inference, with the convention of the files to be written.

    Raises:
        UserError: a case lacks a modality, or the convention does not fit the task.
    """
    cohort = find_cohort(Path(root), Task.of(task))
    for sentence in cohort.refused.values():
        raise UserError(sentence)
    chosen = written_convention(Task.of(task), cohort, convention)
    cases = tuple(replace(case, label=None) for case in cohort.cases)
    return replace(cohort, convention=chosen, cases=cases)


def training_split(
    cohort: Cohort, file: str | None, bundle_root: str, validation_fraction: float, seed: int
) -> Split:
    """The split in ``file``, else of the run at ``bundle_root``, else one drawn by ``seed``."""
    names = list(cohort.labelled)
    own = Path(bundle_root) / "split.json"
    if file is not None:
        return Split.read(Path(file), names)
    if own.is_file():
        return Split.read(own, names)
    return Split.drawn(names, validation_fraction, seed)


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

    An item is asked for by ``(epoch, index)`` and depends on nothing but that and the seed: neither
    on the number of workers nor on what was asked for before.

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
        self, key: tuple[int, int]
    ) -> list[dict[str, Any]]:
        epoch, index = key
        seeds = np.random.SeedSequence([self.seed, epoch, index]).generate_state(2)
        self.sampling.set_random_state(seed=int(seeds[0]))
        self.augmentation.set_random_state(seed=int(seeds[1]))
        case = self.cases[index]
        # The order in memory, which the cache changes, would change the last digit of a sum.
        samples = self.sampling({key: case[key].contiguous() for key in ("image", "label")})
        samples = samples if isinstance(samples, list) else [samples]
        return [
            {key: value.as_tensor() for key, value in self.augmentation(sample).items()}
            for sample in samples
        ]


class EpochSampler(Sampler[tuple[int, int]]):
    """Every case once an epoch, in an order that depends on seed and epoch alone."""

    def __init__(self, length: int, seed: int) -> None:
        self.length = length
        self.seed = seed
        self.epoch = 0

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.length)
        for index in order:
            yield self.epoch, int(index)
        self.epoch += 1

    def __len__(self) -> int:
        return self.length


def shuffled(dataset: TrainingSet, batch_size: int, num_workers: int) -> DataLoader:
    """A loader for training."""
    return DataLoader(
        dataset,
        num_workers,
        batch_size=batch_size,
        sampler=EpochSampler(len(dataset), dataset.seed),
        collate_fn=list_data_collate,
        persistent_workers=num_workers > 0,
    )


def ordered(dataset: Dataset, num_workers: int) -> DataLoader:
    """A loader for validation and inference: each case once, in order."""
    return DataLoader(dataset, num_workers, batch_size=1, collate_fn=_alone)


def _alone(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A batch of one: tensors gain the batch axis, names stand in a list."""
    (sample,) = samples
    tensors = {key: sample[key] for key in ("image", "label") if key in sample}
    batch: dict[str, Any] = list_data_collate([tensors])
    return batch | {key: [sample[key]] for key in ("case", "source")}
