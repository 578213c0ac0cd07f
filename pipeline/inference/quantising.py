"""A network of 8-bit convolutions for the CPU, kept only where it segments as well as before."""

import io
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from copy import copy
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from pipeline.bundles import RECORD, Bundle
from pipeline.data.cases import Case
from pipeline.errors import UserError
from pipeline.evaluation import Evaluation, evaluate
from pipeline.inference.backends import cache
from pipeline.inference.backends.entries import bytes_per_voxel, converted
from pipeline.inference.backends.machine import cores
from pipeline.inference.backends.openvino import FILE, OpenVINO
from pipeline.inference.calibrating import calibration_windows
from pipeline.inference.cohort import segment_cases
from pipeline.inference.segmentation import Segmenter
from pipeline.openvino_core import core, imported

NAME = "openvino-int8"
"""The backend that runs what is quantised here."""

LARGEST_LOSS = 0.005
"""Mean Dice that a target may lose."""

CALIBRATES = 4
"""One case of so many calibrates, the others are scored."""

FEWEST = 2
"""Cases to be scored; where fewer would be left, those that calibrate are scored too."""

_MEMORY = 1.3
"""Bytes at the peak, next to those of 32 bits: each addition makes a tensor of its own. Measured:
0.5 (unet3d) to 1.25 (SegResNet)."""

_CONVOLUTIONS = ("Convolution", "ConvolutionBackpropData")


class Scored(NamedTuple):
    """How a network segments.

    Args:
        scores: of the cases.
        seconds: of the network for one window of the median case.
    """

    scores: Evaluation
    seconds: float


@dataclass(frozen=True)
class Quantised:
    """How a bundle segments before and after its convolutions were quantised.

    Args:
        calibrated: names of the cases whose windows set the ranges of the 8-bit numbers.
        windows: of theirs that were used.
        before: with 32 bits.
        after: with 8 bits, on the same cases.
    """

    calibrated: tuple[str, ...]
    windows: int
    before: Scored
    after: Scored

    @property
    def dice(self) -> dict[str, tuple[float, float]]:
        """Mean Dice of each target, before and after."""
        before, after = (_mean_dice(one.scores) for one in (self.before, self.after))
        return {target: (before[target], after.get(target, 0.0)) for target in before}

    @property
    def scored(self) -> tuple[str, ...]:
        """Names of the cases that have scores."""
        return tuple(dict.fromkeys(row.case for row in self.before.scores.rows))

    @property
    def reason(self) -> str:
        """Why it is not to be kept; empty if it is."""
        target, (before, after) = max(self.dice.items(), key=lambda item: item[1][0] - item[1][1])
        if before - after <= LARGEST_LOSS:
            return ""
        return (
            f"with 8 bits the mean Dice of {target} falls from {before:.4f} to {after:.4f}, by "
            f"more than {LARGEST_LOSS}: nothing is kept, segment with --backend openvino"
        )

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "kept": not self.reason,
            "dice": {
                target: {"before": pair[0], "after": pair[1]} for target, pair in self.dice.items()
            },
            "seconds_a_window": {"before": self.before.seconds, "after": self.after.seconds},
            "calibrated": self.calibrated,
            "windows": self.windows,
            "scored": self.scored,
            "versions": cache.versions(NAME) | {"nncf": version("nncf")},
        }


def quantise(
    bundle: Bundle,
    cases: Sequence[Case],
    convention: str,
    weights: Path | None = None,
    calibration: int = 8,
    threads: int | None = None,
    on_case: Callable[[str, str], None] | None = None,
) -> Quantised:
    """Quantise the convolutions of a bundle, score cases before and after, and keep what is good.

    It is kept for ``Segmenter`` with the backend ``openvino-int8``, in place of an earlier one.

    Args:
        bundle: whose network is quantised.
        cases: with labels; ``shares`` says what each is for.
        convention: of the values of their labels.
        weights: a safetensors file; None takes the bundle's own.
        calibration: windows that set the ranges of the 8-bit numbers, at most.
        threads: of the network; None takes all cores.
        on_case: called with each case that was segmented and what became of it.

    Raises:
        UserError: NNCF or OpenVINO is missing, a case is without label, none can be scored, or
            ``calibration`` is no positive number.
    """
    _check(cases, calibration)
    segmenter = Segmenter(bundle, weights, "cpu", "openvino", threads)
    entry = cache.entry_of(bundle, segmenter.weights[0], NAME)
    full = converted(bundle, segmenter.weights[0], "openvino")
    memory = _MEMORY * bytes_per_voxel(full)
    calibrating, scored = shares(cases)
    calibrating = calibrating[:calibration]
    with TemporaryDirectory() as folder:
        work = Path(folder)
        windows = calibration_windows(segmenter, calibrating, calibration, work)
        _quantise(full / FILE, windows, work / FILE)
        shutil.copy(full / cache.SETTINGS, work)
        small = copy(segmenter)
        network = OpenVINO(work, memory, NAME, threads or cores())
        small.models = [replace(segmenter.models[0], backend=network)]
        how = (scored, convention, on_case)
        told = Quantised(
            tuple(case.name for case in calibrating),
            len(windows),
            _scored(segmenter, work / "before", *how),
            _scored(small, work / "after", *how),
        )
        if not told.reason:
            cache.check_unchanged(entry, bundle, segmenter.weights[0], NAME)
            _keep(entry, work, told.to_json() | {"bytes_per_voxel": memory})
    return told


def shares(cases: Sequence[Case]) -> tuple[Sequence[Case], Sequence[Case]]:
    """The cases that calibrate, and those that are scored, which may be the same where few are."""
    scored = [case for index, case in enumerate(cases) if index % CALIBRATES]
    return cases[::CALIBRATES], scored if len(scored) >= FEWEST else cases


def _check(cases: Sequence[Case], calibration: int) -> None:
    for package in ("nncf", "openvino"):
        if find_spec(package) is None:
            raise UserError(f"quantise needs {package}: pip install 'unet-bundles[int8]'")
    if calibration < 1:
        raise UserError(f"--calibration {calibration}: give 1 or more windows")
    for case in cases:
        if case.label is None:
            raise UserError(f"case {case.name} has no label to score by: add it, or leave it out")


def _quantise(network: Path, windows: Sequence[Path], output: Path) -> None:
    """Write a network like the one of the file ``network`` whose convolutions take 8 bits.

    All but convolutions stays in float32, and so does the last one: its logits are the answer, and
    it is cheap. Weights keep to 7 bits, so that no sum of two products leaves the 16 bits that
    processors without VNNI have for it; so results do not depend on the processor.
    """
    openvino = imported()  # first: it keeps NNCF from reporting its use as well
    import nncf
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

    nncf.set_log_level(logging.ERROR)
    model = core().read_model(network)
    kinds = {node.get_type_name() for node in model.get_ops()}
    ignored = nncf.IgnoredScope(
        names=list(_last_convolutions(model)),
        types=sorted(kinds.difference(_CONVOLUTIONS)),
        validate=False,
    )
    with redirect_stdout(io.StringIO()):  # its bars
        quantised = nncf.quantize(
            model,
            nncf.Dataset(windows, np.load),
            subset_size=len(windows),
            ignored_scope=ignored,
            advanced_parameters=AdvancedQuantizationParameters(
                overflow_fix=OverflowFix.ENABLE, disable_bias_correction=True
            ),
        )
    openvino.save_model(quantised, output, compress_to_fp16=False)


def _last_convolutions(model: Any) -> Iterator[str]:
    """Names of the convolutions after which there is no other."""
    ahead, seen = list(model.get_results()), set()
    while ahead:
        node = ahead.pop()
        name = node.get_friendly_name()
        if name in seen:
            continue
        seen.add(name)
        if node.get_type_name() in _CONVOLUTIONS:
            yield name
        else:
            ahead += [value.get_node() for value in node.input_values()]


def _scored(
    segmenter: Segmenter,
    folder: Path,
    cases: Sequence[Case],
    convention: str,
    on_case: Callable[[str, str], None] | None,
) -> Scored:
    report = segment_cases(segmenter, cases, folder, convention, on_case=on_case)
    if report.failed:
        name, sentence = next(iter(report.failed.items()))
        raise UserError(f"case {name} cannot be segmented ({sentence}): leave it out")
    references = [(case.name, case.label) for case in cases if case.label is not None]
    scores = evaluate(folder, references, segmenter.task, convention, convention)
    if scores.failures:
        raise UserError(f"case {scores.failures[0].case}: {scores.failures[0].sentence}")
    done = json.loads((folder / RECORD).read_text())["cases"].values()
    seconds = [
        case["times_s"]["network"] / max(1, sum(part["count"] for part in case["windows"]))
        for case in done
    ]
    return Scored(scores, median(seconds))


def _mean_dice(scores: Evaluation) -> dict[str, float]:
    return {target: spread["dice"].mean for target, spread in scores.summary.items()}


def _keep(entry: Path, work: Path, report: dict[str, Any]) -> None:
    """Make what is in ``work`` the entry of the cache, with ``report``."""
    with cache.writing(entry) as part:
        for name in (FILE, str(Path(FILE).with_suffix(".bin")), cache.SETTINGS):
            shutil.copy(work / name, part)
        cache.finish(part, {"verdict": "passed", "reason": ""} | report)
        shutil.rmtree(entry, ignore_errors=True)  # an earlier one, which would stay
