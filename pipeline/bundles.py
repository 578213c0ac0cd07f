"""Find and read a bundle folder, and check what is to be changed in it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import UserError, nearest
from pipeline.tasks import Task, of_domain

RECORD = "run.json"
"""Beside predictions: what was segmented, the label convention of the files, and how."""

WEIGHTS = "models/model.safetensors"
"""Where a bundle keeps its weights, relative to its root."""


@dataclass(frozen=True)
class Bundle:
    """A folder with ``configs/``, ``docs/`` and ``models/``.

    Args:
        root: the folder.
        domain: that it is set to, one of its ``domains``; None for what its configs say.
    """

    root: Path
    domain: str | None = None

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.root.name

    @property
    def weights(self) -> Path:
        """The file of the weights, which may be missing."""
        return self.root / WEIGHTS

    @property
    def metadata(self) -> dict[str, Any]:
        """The content of ``configs/metadata.json``."""
        content: dict[str, Any] = json.loads((self.root / "configs/metadata.json").read_text())
        return content

    @property
    def description(self) -> str:
        """One line about the bundle."""
        line: str = self.metadata["description"]
        return line

    def config_file(self, workflow: str) -> Path:
        """The config of a workflow, "train" or "inference"."""
        return self.root / "configs" / f"{workflow}.yaml"

    def config(self, workflow: str) -> dict[str, Any]:
        """The content of that config, nothing in it evaluated."""
        content: dict[str, Any] = yaml.safe_load(self.config_file(workflow).read_text())
        return content if self.domain is None else content | {"domain": self.domain}

    @property
    def task(self) -> Task:
        """What the bundle segments; of several domains, the one that it is set to."""
        return self.task_of(self.config("inference"))

    @staticmethod
    def task_of(config: Mapping[str, Any]) -> Task:
        """What the bundle with this ``config`` segments."""
        domains = config.get("domains")
        return Task.of(of_domain(domains, config["domain"], "task") if domains else config["task"])


def last_checkpoint(root: Path) -> Path | None:
    """The folder of the last checkpoint of the run at ``root``."""
    return max((root / "checkpoints").glob("[0-9]*[0-9]"), default=None)


def shipped() -> dict[str, Bundle]:
    """The bundles that come with the project, by name."""
    package = Path(__file__).parent
    candidates = (package / "_bundles", package.parent / "bundles")
    home = next((folder for folder in candidates if folder.is_dir()), None)
    folders = sorted(home.iterdir()) if home else []
    return {path.name: Bundle(path) for path in folders if (path / "configs").is_dir()}


def no_weights(bundle: Bundle) -> str:
    """The sentence about a bundle that was not trained."""
    name = (
        bundle.name
        if bundle.root.resolve() in [one.root for one in shipped().values()]
        else bundle.root
    )
    return (
        f"no weights at {bundle.weights}: train first with unet-bundles train {name} --data DIR, "
        "then go on with the folder of that run"
    )


def find_bundle(name: str, domain: str | None = None) -> Bundle:
    """The bundle in the folder ``name``, or the shipped one of that name, set to ``domain``.

    Raises:
        UserError: neither exists, or the bundle has no such domain.
    """
    if (Path(name) / "configs" / "inference.yaml").is_file():
        bundle = Bundle(Path(name), domain)
    elif name in (bundles := shipped()):
        bundle = Bundle(bundles[name].root, domain)
    else:
        raise UserError(
            f"no bundle {name!r}, neither shipped nor a folder: {nearest(name, bundles)}"
        )
    if domain is not None:
        of_domain(bundle.config("inference").get("domains") or {}, domain, "task")
    return bundle


def check_overrides(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> None:
    """Refuse an override whose key the config does not have.

    A nested key (``network_def::features``) needs an existing first part; arguments of a component
    can be added, and so can a domain (``domains::heart``).

    Raises:
        UserError: with the nearest key that exists.
    """
    for key in overrides:
        first, *rest = key.split("::")
        if first not in config:
            raise UserError(f"unknown key {key!r} in --set: {nearest(first, config)}")
        inner = config[first]
        for part in rest:
            known = isinstance(inner, dict) and (
                part in inner or "_target_" in inner or key == f"domains::{part}"
            )
            if not known:
                names = inner if isinstance(inner, dict) else ()
                raise UserError(f"unknown key {key!r} in --set: {nearest(part, names)}")
            inner = inner.get(part)
