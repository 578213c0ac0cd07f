"""Curves in an MLflow database beside the run."""

import os
from pathlib import Path

from monai.handlers import MLFlowHandler
from monai.utils import OptionalImportError

from pipeline.errors import UserError


def mlflow(output_dir: str, losses: bool) -> MLFlowHandler:
    """A handler that writes into ``<output_dir>/mlflow.db``; nothing leaves the machine.

    Args:
        output_dir: root of the run, which names it.
        losses: whether the engine is the trainer, whose losses are written; else scores are.

    Raises:
        UserError: MLflow is not installed.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    root = Path(output_dir).resolve()
    root.mkdir(parents=True, exist_ok=True)
    try:
        return MLFlowHandler(
            tracking_uri=f"sqlite:///{root / 'mlflow.db'}",
            iteration_log=losses,
            epoch_log=not losses,
            output_transform=lambda output: {"loss": float(output["loss"])},
            experiment_name=root.name,
            run_name=root.name,
        )
    except OptionalImportError as error:
        raise UserError(
            "tracking by mlflow needs MLflow: pip install unet-bundles[mlflow]"
        ) from error
