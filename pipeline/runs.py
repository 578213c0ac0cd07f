"""Make a run a bundle: the running configs with every override, and what it goes on with."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from pipeline import __version__
from pipeline.bundles import Bundle, last_checkpoint
from pipeline.data.cases import Cohort
from pipeline.data.splits import Split
from pipeline.errors import UserError
from pipeline.files import write_bytes, write_json
from pipeline.tasks import Task

OF_THE_MACHINE = (
    "bundle_root",
    "dataset_dir",
    "output_dir",
    "device",
    "num_workers",
    "resume",
    "save_execute_config",
    "split_file",
    "start_from",
    "weights",
)
"""Keys of a config that belong to a machine, not to a run."""

REPORTS = ("checkpoint_interval", "val_interval")
"""Keys that may change when a run goes on."""


def goes_on(resume: bool | str) -> bool:
    """Whether a training goes on with an earlier run; MONAI's command gives ``true`` as text.

    Raises:
        UserError: ``resume`` is neither true nor false.
    """
    text = str(resume).lower()
    if text not in ("true", "false"):
        raise UserError(f"resume takes true or false, not {resume!r}")
    return text == "true"


def new_run(bundle_root: str) -> str:
    """A folder for a new run: ``runs/<bundle>-<date>-<time>`` in the working directory.

    Of several processes that of the first counts, which alone writes.
    """
    return str(Path("runs") / f"{Path(bundle_root).resolve().name}-{datetime.now():%Y%m%d-%H%M%S}")


def write_run(bundle_root: str, output_dir: str, split: Split, resume: bool = False) -> None:
    """Make ``output_dir`` a bundle: the running configs with every override, and the split.

    To be called by a component of a running config, whose parser holds the overrides.

    Raises:
        UserError: ``output_dir`` holds a run already and is not to go on, or goes on with other
            settings, or cannot be written, or ``split`` trains on nothing.
    """
    run, source = Bundle(Path(output_dir)), Bundle(Path(bundle_root))
    running = _running_config()
    split.check_trains()
    check_output(run, running, resume)
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
        if (source.root / file).is_file():
            write_bytes(run.root / file, (source.root / file).read_bytes())
    split.write(run.root / "split.json")
    start_from = running["start_from"] or (_start_of(run) if resume else None)
    write_json(run.root / "environment.json", environment() | {"start_from": start_from})


def _start_of(run: Bundle) -> Any:
    """The weights that ``run`` was started from."""
    file = run.root / "environment.json"
    return json.loads(file.read_text()).get("start_from") if file.is_file() else None


def check_scored(bundle_root: str, cohort: Cohort, split_file: str | None) -> None:
    """End the process, with one sentence, where a split would have to be drawn to score a run.

    A run is scored on the cases that validated it, or on those that ``split_file`` names. A part
    drawn among others would be scored without saying so in the table.
    """
    run = Bundle(Path(bundle_root))
    split = run.root / "split.json"
    remedy = (
        f"score other cases by unet-bundles segment {run.root} and unet-bundles evaluate, or name "
        "them under validation of a --split_file"
    )
    if split_file is None and not split.is_file():
        sys.exit(f"no {split} names the cases that validated {run.root}: {remedy}")
    try:
        Split.read(split if split_file is None else Path(split_file), list(cohort.labelled))
    except UserError as error:
        if split_file is not None:
            sys.exit(str(error))
        sys.exit(f"{error}; {cohort.root} is not the data of the run: {remedy}")


def environment() -> dict[str, Any]:
    """Versions of what results depend on."""
    from importlib.metadata import version

    packages = ("torch", "monai", "pytorch-ignite", "numpy", "nibabel")
    versions = {name: version(name) for name in packages}
    return {"python": sys.version.split()[0], "unet-bundles": __version__, **versions}


def check_output(run: Bundle, running: Mapping[str, Any], resume: bool) -> None:
    """Refuse a folder that holds another run, or none to go on with.

    Args:
        run: the folder.
        running: the config that is to run there.
        resume: whether it goes on with what is there.

    Raises:
        UserError: ``run`` holds a run already and is not to go on, or goes on with other settings,
            or has no checkpoint.
    """
    there = last_checkpoint(run.root)
    if not resume:
        if there is not None or run.weights.exists():
            raise UserError(f"{run.root} holds a run already: choose another output, or --resume")
        return
    if there is None:
        raise UserError(f"no checkpoint under {run.root}: --resume needs the folder of a run")
    split, weights = running.get("split_file"), running.get("start_from")
    if split is not None and not _same_split(Path(split), run.root / "split.json"):
        raise UserError(f"{run.root} has another split than {split}: leave --split out")
    if weights is not None and weights != _start_of(run):
        raise UserError(f"{run.root} was not started from {weights}: leave start_from out")
    for key, value in run.config("train").items():
        if key not in OF_THE_MACHINE + REPORTS and not _alike(key, running.get(key), value):
            raise UserError(
                f"{run.root} was trained with another {key} ({value!r}): keep its own settings by "
                f"unet-bundles train {run.root} --data ... --resume"
            )


def _same_split(one: Path, other: Path) -> bool:
    try:
        first, second = (json.loads(file.read_text()) for file in (one, other))
        return all(first[part] == second[part] for part in ("train", "validation"))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _alike(key: str, one: Any, other: Any) -> bool:
    """Whether two values of ``key`` are one; a run that goes on draws its split no more."""
    if key == "split":
        one, other = ({**value, "start_from": None} for value in (one, other))
    return bool(one == other)


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
    callers.
    """
    from monai.bundle import ConfigParser

    frame = sys._getframe()
    while frame is not None:
        parser = frame.f_locals.get("self")
        if isinstance(parser, ConfigParser):
            return untracked(parser.get())
        frame = frame.f_back  # type: ignore[assignment]
    raise RuntimeError("write_run was not called by a component of a running config")


def untracked(config: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of ``config`` without the handlers that MONAI adds for ``--tracking mlflow``."""
    without: dict[str, Any] = deepcopy(dict(config))
    for part in ("train", "validate"):
        handlers = without[part]["handlers"]
        without[part]["handlers"] = [one for one in handlers if one["_target_"] != "MLFlowHandler"]
    return without


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
