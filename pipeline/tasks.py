"""What is segmented: modalities in, regions or classes out, and their values in label files."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import UserError, nearest

TISSUES = ("oedema", "core", "enhancing")
"""Glioma tissues: peritumoural oedema, necrotic and non-enhancing core, enhancing tumour."""

CONVENTIONS: dict[str, dict[str, int]] = {
    "brats2018": {"oedema": 2, "core": 1, "enhancing": 4},
    "brats2023": {"oedema": 2, "core": 1, "enhancing": 3},
    "msd_brats": {"oedema": 1, "core": 2, "enhancing": 3},
}
"""The value of each tissue in a label file, by the name of the convention; 0 is background."""

REGIONS: dict[str, tuple[str, ...]] = {
    "TC": ("core", "enhancing"),
    "WT": TISSUES,
    "ET": ("enhancing",),
}
"""The tissues of each overlapping region: tumour core, whole tumour, enhancing tumour."""

PAINT_ORDER = (("WT", "oedema"), ("TC", "core"), ("ET", "enhancing"))
"""Regions become tissues again by painting these in turn, so that the nesting holds."""

MOST_CLASSES = 256
"""Background included: labels are stored and counted as bytes."""


@dataclass(frozen=True)
class Task:
    """What is segmented, from which modalities.

    Args:
        modalities: canonical names, in the order of the image's channels.
        regions: overlapping targets (sigmoid), or empty.
        classes: exclusive targets (softmax), background first, or empty.
    """

    modalities: tuple[str, ...]
    regions: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: "Mapping[str, Any] | Task") -> "Task":
        """The task that the ``task`` key of a bundle describes.

        Raises:
            UserError: the key has unknown entries, a name twice, no modalities, or not exactly one
                of ``regions`` and ``classes``.
        """
        if isinstance(config, Task):
            return config
        _check_entries(config)
        task = cls(*(tuple(config.get(key) or ()) for key in ("modalities", "regions", "classes")))
        if not task.modalities:
            raise UserError("task names no modalities: list them in the order of the channels")
        if bool(task.regions) == bool(task.classes):
            raise UserError("task needs either regions (overlapping) or classes (exclusive)")
        for region in task.regions:
            if region not in REGIONS:
                raise UserError(
                    f"task has an unknown region {region!r}: {nearest(region, REGIONS)}"
                )
        if len(task.classes) == 1:
            raise UserError("task needs at least two classes, background first")
        if len(task.classes) > MOST_CLASSES:
            raise UserError(
                f"task has {len(task.classes)} classes, and {MOST_CLASSES} are the most: label "
                "files hold a byte a voxel"
            )
        return task

    @property
    def in_channels(self) -> int:
        """Channels of the image: one a modality."""
        return len(self.modalities)

    @property
    def out_channels(self) -> int:
        """Channels of the logits: one a region, or one a class with background first."""
        return len(self.regions or self.classes)

    @property
    def targets(self) -> tuple[str, ...]:
        """What is scored: the regions, or the classes without background."""
        return self.regions or self.classes[1:]

    @property
    def conventions(self) -> tuple[str, ...]:
        """Names of the label conventions that this task's files can follow."""
        return tuple(CONVENTIONS) if self.regions else ("classes",)

    def values(self, convention: str) -> dict[str, int]:
        """The value in a label file of each tissue or class.

        Raises:
            UserError: the convention is not one of this task's.
        """
        if convention not in self.conventions:
            hint = nearest(convention, self.conventions)
            raise UserError(f"label convention {convention!r} does not fit this task: {hint}")
        if self.classes:
            return {name: value for value, name in enumerate(self.classes)}
        return {"background": 0, **CONVENTIONS[convention]}

    def target_values(self, convention: str) -> dict[str, tuple[int, ...]]:
        """The values in a label file that make up each target."""
        values = self.values(convention)
        if self.classes:
            return {name: (values[name],) for name in self.targets}
        return {name: tuple(values[tissue] for tissue in REGIONS[name]) for name in self.regions}


def all_targets(
    task: Mapping[str, Any] | Task, domains: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[str, ...]:
    """The targets of ``task``; of several domains, all of theirs as ``domain/target``."""
    if not domains:
        return Task.of(task).targets
    return tuple(
        f"{name}/{target}"
        for name, domain in domains.items()
        for target in Task.of(domain["task"]).targets
    )


def of_domain(domains: Mapping[str, Mapping[str, Any]], domain: str, entry: str) -> Any:
    """What ``domains`` says of ``domain``: its "task", "spacing", "patch_size" or "pools".

    Raises:
        UserError: there is no such domain, or it does not say this.
    """
    if domain not in domains:
        raise UserError(f"no domain {domain!r} in domains: {nearest(domain, domains)}")
    if entry not in domains[domain]:
        raise UserError(f"domain {domain} has no {entry}: add it in domains")
    return domains[domain][entry]


def network_domains(domains: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Channels and poolings of each domain, as ``pipeline.networks.U2Net`` takes them."""
    tasks = {name: Task.of(of_domain(domains, name, "task")) for name in domains}
    return {
        name: {
            "in_channels": task.in_channels,
            "out_channels": task.out_channels,
            "pools": of_domain(domains, name, "pools"),
        }
        for name, task in tasks.items()
    }


def _check_entries(config: "Mapping[str, Any]") -> None:
    known = ("modalities", "regions", "classes")
    for key, value in config.items():
        if key not in known:
            raise UserError(f"task has no entry {key!r}: {nearest(key, known)}")
        if isinstance(value, str):
            raise UserError(f"task takes a list of {key}, not {value!r}: write [{value}]")
        names = list(value or ())
        for name in names:
            if not isinstance(name, str):
                raise UserError(f'task takes names as {key}, not {name!r}: write "{name}"')
            if names.count(name) > 1:
                raise UserError(f"task names {name} twice in {key}: name each once")
