"""Predicted label files of a cohort, scored against its reference label files."""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.bundles import RECORD, find_bundle
from pipeline.data.labels import read_labels
from pipeline.data.volumes import SUFFIXES, Volume
from pipeline.errors import UserError
from pipeline.evaluation.distances import Mask
from pipeline.evaluation.rules import find_rule
from pipeline.evaluation.scores import Scores, score_case
from pipeline.evaluation.tables import Evaluation, Failure, Row
from pipeline.grids import same_grid
from pipeline.tasks import Task

_OPTIONS = "--prediction-labels", "--labels"


def evaluate(
    predictions: Path,
    references: Iterable[tuple[str, Path]],
    task: Task,
    prediction_convention: str,
    reference_convention: str,
    empty_rule: str = "brats",
    tolerance_mm: float = 1.0,
    on_case: Callable[[str, str], None] | None = None,
) -> Evaluation:
    """Score every case that has a reference; a case that cannot be scored becomes a failure.

    Args:
        predictions: folder of ``<case>.nii.gz``, ``<case>.nii`` or ``<case>.png``.
        references: case and its reference label file.
        task: names the regions to score.
        prediction_convention: of the values in the predicted files.
        reference_convention: of the values in the reference files.
        empty_rule: name of the rule that scores empty regions.
        tolerance_mm: how far apart surfaces may lie and still agree.
        on_case: called with each case and what became of it: scored or failed.

    Raises:
        UserError: there is no such folder or rule, the tolerance is negative, or a convention does
            not fit the task.
    """
    if not predictions.is_dir():
        raise UserError(f"no folder {predictions}: name the one that holds the predictions")
    if not tolerance_mm >= 0:
        raise UserError(f"a tolerance of {tolerance_mm:g} mm: give 0 or more millimetres")
    score = partial(score_case, tolerance_mm=tolerance_mm, empty_rule=find_rule(empty_rule))
    conventions = (prediction_convention, reference_convention)
    for convention in conventions:
        task.values(convention)
    rows: list[Row] = []
    failures: list[Failure] = []
    for case, reference in sorted(references):
        outcome = "scored"
        try:
            prediction = prediction_file(predictions, case)
            rows += _score_regions(case, (prediction, reference), task, conventions, score)
        except UserError as error:
            outcome = "failed"
            failures.append(Failure(case, str(error)))
        if on_case is not None:
            on_case(outcome, case)
    return Evaluation(tuple(rows), tuple(failures), empty_rule, tolerance_mm)


def recorded_task(predictions: Path, bundle: str | None) -> tuple[Task, str | None]:
    """Task and label convention that ``segment`` recorded beside its predictions.

    Without a record the task is that of ``bundle``, or BraTS, and the convention is None.

    Raises:
        UserError: the record cannot be read, is of another task than that of ``bundle``, or there
            is no such bundle.
    """
    record = predictions / RECORD
    if not record.is_file():
        return find_bundle(bundle or "unet3d").task, None
    try:
        content = json.loads(record.read_text())
        task, convention = Task.of(content["task"]), content["labels"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{record} is damaged: remove it and name the bundle") from error
    if bundle is not None and find_bundle(bundle).task != task:
        raise UserError(f"{record} is of another task than {bundle}: leave --bundle out")
    return task, convention


def prediction_file(folder: Path, case: str) -> Path:
    """The file of the prediction of ``case``.

    Raises:
        UserError: there is none, or there are several.
    """
    suffixes = (*SUFFIXES, ".png")
    files = [path for suffix in suffixes if (path := folder / f"{case}{suffix}").is_file()]
    if not files:
        raise UserError(
            f"no prediction {case}.nii.gz or {case}.png in {folder}: "
            "segment the case, or leave it out"
        )
    if len(files) > 1:
        raise UserError(f"{folder} holds {files[0].name} and {files[1].name}: keep one of them")
    return files[0]


def _score_regions(
    case: str,
    files: tuple[Path, Path],
    task: Task,
    conventions: tuple[str, str],
    score: Callable[[Mask, Mask, Sequence[float]], Scores],
) -> list[Row]:
    """A row a region; ``files`` and ``conventions`` are of the prediction, then the reference."""
    prediction, reference = (
        read_labels(path, task, convention, option)
        for path, convention, option in zip(files, conventions, _OPTIONS, strict=True)
    )
    _check_grid(files, prediction, reference)
    predicted = _regions(prediction, task, conventions[0])
    true = _regions(reference, task, conventions[1])
    return [
        Row(case, region, *score(predicted[region], true[region], reference.spacing))
        for region in task.targets
    ]


def _check_grid(files: tuple[Path, Path], prediction: Volume, reference: Volume) -> None:
    shapes = prediction.array.shape, reference.array.shape
    if not same_grid(shapes[0], prediction.affine, shapes[1], reference.affine):
        reason = "the affines differ" if shapes[0] == shapes[1] else f"{shapes[0]}, not {shapes[1]}"
        raise UserError(
            f"{files[0]} is not on the grid of {files[1]} ({reason}): "
            "segment the case again, or resample the prediction by nearest neighbour"
        )


def _regions(labels: Volume, task: Task, convention: str) -> dict[str, Mask]:
    """Where each region is, by the values of a label file."""
    values = task.target_values(convention)
    return {region: np.isin(labels.array, values[region]) for region in task.targets}
