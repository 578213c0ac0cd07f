"""Train a bundle: check what can be checked, then let MONAI run its config."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from pipeline.bundles import Bundle, check_overrides
from pipeline.data.loaders import records
from pipeline.errors import UserError
from pipeline.transforms import LoadCase


def train(bundle: Bundle, data: Path, output: Path, overrides: Mapping[str, Any]) -> None:
    """Train ``bundle`` on the cohort at ``data`` and leave a complete bundle at ``output``.

    Args:
        bundle: whose ``train.yaml`` is run.
        data: folder of the cases.
        output: folder of the run.
        overrides: values by key of the config, nested keys joined by ``::``.

    Raises:
        UserError: an override, the cohort, the patch size or the output cannot be used.
    """
    check_overrides(bundle.config("train"), overrides)
    workflow = ConfigWorkflow(
        str(bundle.config_file("train")),
        logging_file=False,
        workflow_type="train",
        bundle_root=str(bundle.root),
        dataset_dir=str(data),
        output_dir=str(output),
        **overrides,
    )
    workflow.initialize()
    parser = workflow.parser
    split = parser.get_parsed_content("split")
    load = LoadCase(parser.get_parsed_content("task"))
    for entry in records(parser.get_parsed_content("cohort"), split.validation):
        load(entry)  # a bad case ends the training now, not at the first validation
    check_patch(
        parser.get_parsed_content("patch_size"),
        parser.get_parsed_content("network_def"),
        parser.get_parsed_content("spatial_dims"),
    )
    workflow.run()


def check_patch(patch_size: Sequence[int], network: Any, spatial_dims: int) -> None:
    """Refuse a patch that ``network`` cannot take.

    Raises:
        UserError: a size is no multiple of the network's divisor, or too small to train on.
    """
    name, sizes = type(network).__name__, list(patch_size)
    if len(sizes) != spatial_dims:
        raise UserError(f"patch_size {sizes} has {len(sizes)} sizes: give {spatial_dims}")
    if any(size % network.divisor for size in sizes):
        raise UserError(
            f"patch_size {sizes} does not fit {name}: every size must be a multiple of "
            f"{network.divisor}"
        )
    if min(sizes) < network.smallest:
        raise UserError(
            f"patch_size {sizes} is too small for {name}: every size must be at least "
            f"{network.smallest}"
        )
