"""Train a bundle: check what can be checked, then let MONAI run its config."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from shutil import disk_usage
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from pipeline.bundles import Bundle, check_overrides
from pipeline.data.cohort_checks import refuse_cases
from pipeline.errors import UserError, nearest
from pipeline.files import check_writable
from pipeline.inference.inferer import Windows
from pipeline.progress import console
from pipeline.runs import check_output, untracked
from pipeline.tasks import Task, of_domain
from pipeline.transforms.sampling import check_patch_size


def train(
    bundle: Bundle,
    data: Path,
    output: Path,
    overrides: Mapping[str, Any],
    tracking: str | None = None,
) -> None:
    """Train ``bundle`` on the cohort at ``data`` and leave a complete bundle at ``output``.

    Args:
        bundle: whose ``train.yaml`` is run.
        data: folder of the cases.
        output: folder of the run.
        overrides: values by key of the config, nested keys joined by ``::``.
        tracking: "mlflow" writes the curves into ``mlruns.db`` of the run too.

    Raises:
        UserError: an override, the cohort, the patch size or the output cannot be used, the disk is
            too full, or MLflow is asked for and not installed.
    """
    check_overrides(bundle.config("train"), overrides)
    check_writable(output)
    if tracking is not None and find_spec("mlflow") is None:
        raise UserError("--tracking mlflow needs MLflow: pip install 'unet-bundles[mlflow]'")
    workflow = ConfigWorkflow(
        str(bundle.config_file("train")),
        logging_file=False,
        workflow_type="train",
        tracking=tracking,
        bundle_root=str(bundle.root),
        dataset_dir=str(data),
        output_dir=str(output),
        **overrides,
    )
    workflow.initialize()
    parser = workflow.parser
    parser.get_parsed_content("run::0")  # seeds once, before the network is made
    check_output(Bundle(output), untracked(parser.get()), parser.get_parsed_content("goes_on"))
    check_channels(parser)
    domains = parser.get_parsed_content("domains")
    if domains is None:
        check_patch(parser)
    else:
        check_own(parser, domains)
        check_domains(parser, domains)
    check_disk(output, parser.get_parsed_content("network"))
    check_schedule(parser)
    check_cases(parser)
    workflow.run()
    workflow.finalize()


def check_cases(parser: ConfigParser) -> None:
    """Read every case, so that a bad one ends the training now, not when its turn comes.

    Raises:
        UserError: a case cannot be used.
    """
    split = parser.get_parsed_content("split")
    split.check_trains()
    refuse_cases(
        parser.get_parsed_content("cohort"),
        (*split.train, *split.validation),
        parser.get_parsed_content("task"),
        lambda text: console.print(text, markup=False, soft_wrap=True),
        parser.get_parsed_content("domains"),
    )


def check_channels(parser: ConfigParser) -> None:
    """Refuse a network whose channels are not those of the task.

    Raises:
        UserError: with the number that the task asks for.
    """
    task = Task.of(parser.get_parsed_content("task"))
    for key in ("in_channels", "out_channels"):
        wanted = getattr(task, key)
        if key in parser["network_def"]:
            found = parser.get_parsed_content(f"network_def::{key}")
            if found != wanted:
                raise UserError(
                    f"network_def::{key} is {found} and the task needs {wanted}: leave the key out"
                )


def check_own(parser: ConfigParser, domains: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse a task, spacing or patch of the whole that its domain does not have.

    Raises:
        UserError: with the key of the domain.
    """
    domain = parser.get_parsed_content("domain")
    given = {key: parser.get_parsed_content(key) for key in ("task", "spacing", "patch_size")}
    recipe = parser.get_parsed_content("recipe").get("spacing")
    for key, value in (*given.items(), ("spacing", recipe)):
        own = of_domain(domains, domain, key)
        same = Task.of(value) == Task.of(own) if key == "task" else value == own
        if not same:
            raise UserError(
                f"{key} is {value}, and domain {domain} has its own: set domains::{domain}::{key}"
            )


def check_domains(parser: ConfigParser, domains: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse patches that do not fit their domain, and cases of a domain that is not trained.

    Raises:
        UserError: naming the domain.
    """
    for name in domains:
        pools, sizes = (of_domain(domains, name, entry) for entry in ("pools", "patch_size"))
        check_patch_size(sizes, parser.get_parsed_content("spatial_dims"))
        if any(size % 2**pools for size in sizes) or max(sizes) == 2**pools:
            raise UserError(
                f"patch_size {list(sizes)} of domain {name} does not fit its {pools} pools: every "
                f"size must be a multiple of {2**pools}, and one of them {2 ** (pools + 1)} or more"
            )
    network, cohort = map(parser.get_parsed_content, ("network_def", "cohort"))
    trained = getattr(network, "trained", None)
    present = {case.domain or network.domain for case in cohort.labelled.values()}
    if trained is not None and present != {trained}:
        raise UserError(
            f"network_def::trained is {trained} and {cohort.root} holds cases of "
            f"{', '.join(sorted(map(str, present)))}: give the cases of {trained} alone, and set "
            f"domain={trained}"
        )


def check_schedule(parser: ConfigParser) -> None:
    """Refuse a schedule that waits for a score that there is not, or for a low one.

    Raises:
        UserError: with the key to change.
    """
    metric = parser.get_parsed_content("schedule_metric")
    known = [*parser["validate::key_metric"], *(parser["validate::additional_metrics"] or ())]
    if metric not in known:
        raise UserError(f"schedule_metric is {metric!r}: {nearest(str(metric), known)}")
    schedule = parser.get_parsed_content("lr_schedule")
    low = isinstance(schedule, ReduceLROnPlateau) and schedule.mode != "max"
    if low and metric in ("mean_dice", "mean_iou"):
        raise UserError("lr_schedule waits for a low score: set lr_schedule::mode=max")


def check_disk(output: Path, network: nn.Module) -> None:
    """Refuse a disk that cannot hold the best weights twice and two checkpoints.

    A checkpoint holds weights, their average and two moments of the optimiser.

    Raises:
        UserError: with the space that is needed.
    """
    weights = sum(tensor.nbytes for tensor in network.state_dict().values())
    needed = 10 * weights + 2**26
    folder = next(path for path in (output.resolve(), *output.resolve().parents) if path.exists())
    free = disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"the disk of {output} has {free / 2**30:.1f} GiB free and the run needs "
            f"{needed / 2**30:.1f} GiB: make room or choose another output"
        )


def check_patch(parser: ConfigParser) -> None:
    """Refuse a patch that the network cannot take.

    Raises:
        UserError: a size is missing, no multiple of the network's divisor, or too small to train
            on.
    """
    sizes = parser.get_parsed_content("patch_size")
    check_patch_size(sizes, parser.get_parsed_content("spatial_dims"))
    network = parser.get_parsed_content("network_def")
    name = type(network).__name__
    divisor, smallest = getattr(network, "divisor", 1), getattr(network, "smallest", 1)
    if any(size % divisor for size in sizes):
        raise UserError(
            f"patch_size {sizes} does not fit {name}: every size must be a multiple of {divisor}"
        )
    inferer = parser.get_parsed_content("inferer")
    whole = isinstance(inferer, Windows) and inferer.patch_size is None
    if whole and inferer.divisor is None and not hasattr(network, "divisor"):
        raise UserError(
            f"inferer::patch_size is whole, and {name} does not tell which sizes it takes: set "
            "inferer::divisor to what they must be multiples of"
        )
    windows = getattr(inferer, "patch_size", None) or ()
    divisor = getattr(network.eval(), "divisor", 1)
    network.train()
    if any(size % divisor for size in windows):
        raise UserError(
            f"inferer::patch_size {list(windows)} does not fit {name}: every size must be a "
            f"multiple of {divisor}"
        )
    if min(sizes) < smallest:
        raise UserError(
            f"patch_size {sizes} is too small for {name}: every size must be at least {smallest}"
        )
