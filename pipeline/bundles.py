"""Find, read, check and write a bundle folder."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from pipeline import __version__
from pipeline.data.splits import Split
from pipeline.errors import UserError, nearest
from pipeline.files import write_bytes, write_json
from pipeline.tasks import Task, of_domain

RECORD = "segmentation.json"
"""Beside predictions: what was segmented, and the label convention of the files."""

WEIGHTS = "models/model.safetensors"
"""Where a bundle keeps its weights, relative to its root."""

OF_THE_MACHINE = (
    "bundle_root",
    "dataset_dir",
    "output_dir",
    "device",
    "num_workers",
    "resume",
    "split_file",
    "start_from",
    "weights",
)
"""Keys of a config that belong to a machine, not to a run."""

LENGTH = ("checkpoint_interval", "max_epochs", "tracking", "val_interval")
"""Keys that may change when a run goes on."""


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
    folders = (root / "checkpoints").glob("[0-9]*")
    return max((path for path in folders if path.suffix != ".part"), default=None)


def shipped() -> dict[str, Bundle]:
    """The bundles that come with the project, by name."""
    package = Path(__file__).parent
    candidates = (package / "_bundles", package.parent / "bundles")
    home = next((folder for folder in candidates if folder.is_dir()), None)
    folders = sorted(home.iterdir()) if home else []
    return {path.name: Bundle(path) for path in folders if (path / "configs").is_dir()}


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


def new_run(bundle_root: str) -> str:
    """A folder for a new run: ``runs/<bundle>-<date>-<time>`` in the working directory."""
    return str(Path("runs") / f"{Path(bundle_root).resolve().name}-{datetime.now():%Y%m%d-%H%M%S}")


def write_run(bundle_root: str, output_dir: str, split: Split, resume: bool = False) -> None:
    """Make ``output_dir`` a bundle: the running configs with every override, and the split.

    To be called by a component of a running config, whose parser holds the overrides.

    Raises:
        UserError: ``output_dir`` holds a run already and is not to go on, or goes on with other
            settings, or cannot be written.
    """
    run, source = Bundle(Path(output_dir)), Bundle(Path(bundle_root))
    running = _running_config()
    if resume:
        if last_checkpoint(run.root) is None:
            raise UserError(f"no checkpoint under {output_dir}: --resume needs the folder of a run")
        _check_same_settings(run, running)
    elif last_checkpoint(run.root) is not None or run.weights.exists():
        raise UserError(f"{output_dir} holds a run already: choose another output, or --resume")
    task = source.task_of(running)
    trained = source.config("train")
    for workflow in ("train", "inference"):
        own = source.config(workflow)
        shared = {key: value for key, value in running.items() if own.get(key) == trained.get(key)}
        text = burnt_in(source.config_file(workflow).read_text(), shared)
        write_bytes(run.config_file(workflow), text.encode())
    write_json(
        run.root / "configs/metadata.json",
        _metadata(source.metadata, task, running["spatial_dims"]),
    )
    for file in ("LICENSE", "docs/README.md"):
        write_bytes(run.root / file, (source.root / file).read_bytes())
    split.write(run.root / "split.json")
    write_json(
        run.root / "environment.json", _environment() | {"start_from": running["start_from"]}
    )


def _check_same_settings(run: Bundle, running: Mapping[str, Any]) -> None:
    for key, value in run.config("train").items():
        if key not in OF_THE_MACHINE + LENGTH and running.get(key) != value:
            raise UserError(
                f"{run.root} was trained with another {key} ({value!r}): --resume goes on with the "
                "settings of the run"
            )


def burnt_in(text: str, running: Mapping[str, Any]) -> str:
    """The YAML ``text`` with its top-level values replaced by those of ``running`` that differ.

    What is unchanged keeps its form and its comments; so does what belongs to the machine.
    """
    blocks = []
    for key, block in _top_level_blocks(text):
        value = yaml.safe_load(block)[key] if key else None
        if key is None or key in OF_THE_MACHINE or key not in running or running[key] == value:
            blocks.append(block)
        else:
            blocks.append(_as_yaml(key, running[key]) + _trailing_comments(block))
    return "".join(blocks)


def _top_level_blocks(text: str) -> Iterator[tuple[str | None, str]]:
    """Each top-level key with its lines (and what follows up to the next key), in order."""
    key: str | None = None
    lines: list[str] = []
    for line in text.splitlines(keepends=True):
        match = re.match(r"([A-Za-z_]\w*):", line)
        if match:
            yield key, "".join(lines)
            key, lines = match.group(1), []
        lines.append(line)
    yield key, "".join(lines)


def _as_yaml(key: str, value: Any) -> str:
    """A block of YAML in which innermost lists and mappings stand on one line."""
    flow = None if isinstance(value, list | dict) else False
    text: str = yaml.safe_dump(
        {key: value}, sort_keys=False, allow_unicode=True, default_flow_style=flow, width=1000
    )
    return text


def _trailing_comments(block: str) -> str:
    lines = block.splitlines(keepends=True)
    count = 0
    while count < len(lines) and re.match(r"\s*(#.*)?$", lines[-1 - count]):
        count += 1
    return "".join(lines[len(lines) - count :])


def _running_config() -> dict[str, Any]:
    """The config, overrides included, of the MONAI parser that is resolving the caller.

    MONAI hands a component its arguments but not the config, so the parser is looked up among the
    callers. The handlers that MONAI adds for ``--tracking mlflow`` are left out.
    """
    from monai.bundle import ConfigParser

    frame = sys._getframe()
    while frame is not None:
        parser = frame.f_locals.get("self")
        if isinstance(parser, ConfigParser):
            config: dict[str, Any] = deepcopy(parser.get())
            for part in ("train", "validate"):
                handlers = config[part]["handlers"]
                config[part]["handlers"] = [
                    one for one in handlers if one["_target_"] != "MLFlowHandler"
                ]
            return config
        frame = frame.f_back  # type: ignore[assignment]
    raise RuntimeError("write_run was not called by a component of a running config")


def _metadata(metadata: dict[str, Any], task: Task, spatial_dims: int) -> dict[str, Any]:
    formats = metadata["network_data_format"]
    image, pred = formats["inputs"]["image"], formats["outputs"]["pred"]
    image["num_channels"], pred["num_channels"] = task.in_channels, task.out_channels
    for tensor in (image, pred):
        tensor["spatial_shape"] = tensor["spatial_shape"][:1] * spatial_dims
    metadata["task"] = (
        f"Segmentation of {', '.join(task.targets)} from {', '.join(task.modalities)}"
    )
    image["channel_def"] = {str(i): name for i, name in enumerate(task.modalities)}
    pred["channel_def"] = {str(i): name for i, name in enumerate(task.regions or task.classes)}
    return metadata


def _environment() -> dict[str, Any]:
    from importlib.metadata import version

    packages = ("torch", "monai", "pytorch-ignite", "numpy", "nibabel")
    versions = {name: version(name) for name in packages}
    return {"python": sys.version.split()[0], "unet-bundles": __version__, **versions}
