"""What each bundle of a comparison is trained with."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml
from monai.bundle import ConfigParser

from pipeline.bundles import Bundle, check_overrides, find_bundle, shipped
from pipeline.errors import UserError, nearest
from pipeline.tasks import Task

OWN = (
    "bundle_root",
    "cohort",
    "dataset_dir",
    "labels",
    "lr_schedule",
    "max_epochs",
    "output_dir",
    "resume",
    "split_file",
    "val_interval",
)
"""Keys that a comparison sets itself, alike for all bundles."""


@dataclass(frozen=True)
class Settings:
    """Overrides in the form of ``--set``.

    Args:
        common: of every bundle.
        bundles: of one bundle, by its name; these win.
    """

    common: dict[str, Any] = field(default_factory=dict)
    bundles: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Settings":
        """The settings in a YAML file ``{common: {key: value}, bundles: {name: {key: value}}}``.

        Raises:
            UserError: the file cannot be read or is not of that form.
        """
        form = f"{path} holds no settings: write common: {{key: value}} and bundles: {{name: ...}}"
        try:
            content = yaml.safe_load(path.read_text()) or {}
        except OSError as error:
            raise UserError(f"cannot read the settings {path}: {error.strerror}") from error
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            raise UserError(f"{path} is no YAML: {str(error).splitlines()[0]}") from error
        if not isinstance(content, dict):
            raise UserError(form)
        for key in content:
            if key not in ("common", "bundles"):
                raise UserError(f"unknown key {key!r} in {path}: there are common and bundles")
        common, bundles = (content.get(key) or {} for key in ("common", "bundles"))
        if not all(isinstance(part, dict) for part in (common, bundles)):
            raise UserError(form)
        bundles = {name: own or {} for name, own in bundles.items()}
        parts = [common, bundles, *bundles.values()]
        if not all(isinstance(part, dict) and all(map(_is_text, part)) for part in parts):
            raise UserError(form)
        return cls(common, bundles)

    def of(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """The overrides of the bundle ``name``: common, its own, ``given``; the later ones win."""
        overrides: dict[str, Any] = {}
        for part in (self.common, self.bundles.get(name, {}), given):
            overrides = {key: overrides[key] for key in overrides if key not in part} | dict(part)
        return overrides


@dataclass(frozen=True)
class Entry:
    """A bundle that takes part, and its overrides."""

    bundle: Bundle
    overrides: dict[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        """What its training is decided by, as plain values."""
        own = yaml.safe_dump(self.bundle.config("train"), sort_keys=False)
        return {"overrides": self.overrides, "train.yaml": sha256(own.encode()).hexdigest()}

    @property
    def config(self) -> dict[str, Any]:
        """``train.yaml`` with the overrides."""
        parser = ConfigParser(self.bundle.config("train"))
        parser.update(self.overrides)
        config: dict[str, Any] = parser.get()
        return config

    @property
    def task(self) -> Task:
        """What it is trained to segment."""
        return Bundle.task_of(self.config)


def entries(names: Iterable[str], settings: Settings, given: Mapping[str, Any]) -> dict[str, Entry]:
    """Who takes part, by name.

    Args:
        names: of shipped bundles, or their folders.
        settings: of the comparison.
        given: overrides of every bundle, which win.

    Raises:
        UserError: a bundle is unknown or named twice, an override cannot be made, or the bundles
            segment different things.
    """
    found: dict[str, Entry] = {}
    for name in names:
        bundle = find_bundle(name)
        if bundle.name in found:
            if bundle.root.resolve() != found[bundle.name].bundle.root.resolve():
                raise UserError(f"two bundles are named {bundle.name}: rename the folder of one")
            raise UserError(f"the bundle {bundle.name} is named twice: name each bundle once")
        entry = Entry(bundle, settings.of(bundle.name, given))
        _check(entry)
        found[bundle.name] = entry
    for name in settings.bundles:
        if name not in found and name not in shipped():
            raise UserError(f"the settings name an unknown bundle {name!r}: {nearest(name, found)}")
    _check_tasks(found)
    return found


def _is_text(key: object) -> bool:
    return isinstance(key, str)


def _check(entry: Entry) -> None:
    name = entry.bundle.name
    for key in entry.overrides:
        if key.split("::")[0] in OWN:
            raise UserError(f"{key} of {name} is set by the comparison itself: leave it out")
    try:
        check_overrides(entry.bundle.config("train"), entry.overrides)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error


def _check_tasks(found: Mapping[str, Entry]) -> None:
    tasks = {name: entry.task for name, entry in found.items()}
    first = next(iter(tasks))
    for name, task in tasks.items():
        if task != tasks[first]:
            raise UserError(
                f"{name} segments {', '.join(task.targets)} from {', '.join(task.modalities)}, and "
                f"{first} another task: give all the same one, by --set task=..."
            )
