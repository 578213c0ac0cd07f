"""Find and read a bundle folder, and check what is to be changed in it."""

import inspect
import json
import os
from collections.abc import Collection, Iterator, Mapping
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
        return Path(os.path.abspath(self.root)).name  # noqa: PTH100 - that of ".." too

    @property
    def weights(self) -> Path:
        """The file of the weights, which may be missing."""
        return self.root / WEIGHTS

    @property
    def metadata(self) -> dict[str, Any]:
        """The content of ``configs/metadata.json``."""
        content: dict[str, Any] = json.loads((self.root / "configs/metadata.json").read_text())
        return content

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
    elif Path(name).is_dir():
        raise UserError(
            f"the folder {name} is no bundle, it has no configs/inference.yaml: give the folder of "
            "a run or the name of a bundle"
        )
    else:
        raise UserError(
            f"no bundle {name!r}, neither shipped nor a folder: {nearest(name, bundles)}"
        )
    if domain is not None:
        of_domain(bundle.config("inference").get("domains") or {}, domain, "task")
    return bundle


def check_overrides(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> None:
    """Refuse an override whose key the config does not have.

    Of a nested key (``network_def::features``, ``listeners::0::patience``) every part counts. A
    component has the arguments of its target, whether the config spells them out or not, and
    ``domains`` may get another domain (``domains::heart``). Components within the values are
    checked too.

    Raises:
        UserError: with the nearest key that exists.
    """
    for key, value in overrides.items():
        holder: Any = config
        path = ""
        for part in key.split("::"):
            path = f"{path}::{part}" if path else part
            is_domain = path == f"domains::{part}" and isinstance(holder, Mapping)
            if not (is_domain and path in overrides):
                _check_name(key, part, holder)
            inner = holder[int(part)] if isinstance(holder, list) else holder.get(part)
            holder = _overridden(path, inner, overrides)
        for component in components(value):
            for name in component:
                _check_name(f"{key}::{name}", str(name), component)


def _check_name(key: str, name: str, holder: Any) -> None:
    """Refuse ``name``, the end of ``key``, if it cannot stand in ``holder``."""
    names: Collection[str] | None = holder if isinstance(holder, Mapping) else ()
    if isinstance(holder, list):
        names = [str(index) for index in range(len(holder))]
    if isinstance(holder, Mapping) and "_target_" in holder:
        names = _arguments(holder["_target_"])
    if names is not None and name not in names:
        raise UserError(f"unknown key {key!r} in --set: {nearest(name, names)}")


def _arguments(target: Any) -> Collection[str] | None:
    """The names that a component of this ``_target_`` takes; None if it takes any, or is silent."""
    from pydoc import locate

    from monai.bundle import ConfigComponent

    if isinstance(target, str) and "." not in target:  # a name of MONAI's
        component: Any = ConfigComponent({"_target_": target})
        target = component.resolve_module_name()
    found: Any = locate(target) if isinstance(target, str) else target
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        return None
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    if inspect.Parameter.VAR_KEYWORD in kinds:
        return None
    return {*signature.parameters, *ConfigComponent.non_arg_keys}


def _overridden(path: str, value: Any, overrides: Mapping[str, Any]) -> Any:
    """The ``value`` at ``path`` as it will be, of another target too."""
    value = overrides.get(path, value)
    target = overrides.get(f"{path}::_target_")
    if target is None or not isinstance(value, Mapping):
        return value
    return {**value, "_target_": target}


def components(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every component in ``value``, however deep."""
    if isinstance(value, Mapping):
        if "_target_" in value:
            yield value
        value = list(value.values())
    for part in value if isinstance(value, list) else ():
        yield from components(part)
