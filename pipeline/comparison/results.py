"""What a comparison found: costs and scores of each bundle."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any

from pipeline.evaluation import Evaluation


@dataclass(frozen=True)
class Measured:
    """What a bundle costs, in one fold or over all.

    Args:
        parameters: of the whole network, those that only training uses included.
        multiply_adds: of one prediction of a patch.
        patch_size: voxels, along each spatial axis.
        iterations: of a training; the mean over folds.
        train_seconds: of a training without validation; the mean over folds.
        seconds_per_case: of reading, segmenting and writing a case; the mean over folds.
        peak_gib: largest memory of a training process, on the GPU if it trained there.
    """

    parameters: int
    multiply_adds: int
    patch_size: tuple[int, ...]
    iterations: int
    train_seconds: float
    seconds_per_case: float
    peak_gib: float


@dataclass(frozen=True)
class BundleResult(Measured):
    """Costs and scores of one bundle, over all folds.

    Args:
        evaluation: the scores of every validation case, each by the network that has not seen it.
    """

    evaluation: Evaluation

    @property
    def multiply_adds_per_voxel(self) -> float:
        """The cost of a prediction that does not depend on the patch."""
        return self.multiply_adds / prod(self.patch_size)

    def costs(self) -> dict[str, Any]:
        """Everything but the scores, as plain values."""
        return {
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "multiply_adds_per_voxel": self.multiply_adds_per_voxel,
            "patch_size": list(self.patch_size),
            "iterations": self.iterations,
            "train_seconds": self.train_seconds,
            "seconds_per_case": self.seconds_per_case,
            "peak_gib": self.peak_gib,
        }


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Args:
        bundles: those that were trained and scored, by name.
        budget: as it was given, such as "10min".
        folds: how often each bundle was trained.
        versions: of Python and packages.
        failures: why a bundle has no result, by its name.
    """

    bundles: dict[str, BundleResult]
    budget: str
    folds: int
    versions: dict[str, str]
    failures: dict[str, str]

    @property
    def failed_cases(self) -> bool:
        """Whether a bundle that was scored lacks a case."""
        return any(result.evaluation.failures for result in self.bundles.values())

    def scores(self, metrics: Iterable[str]) -> dict[str, dict[str, dict[tuple[str, str], float]]]:
        """The values of ``metrics`` by metric, bundle, and (case, region)."""
        return {
            metric: {
                name: {
                    (row.case, row.region): getattr(row, metric) for row in result.evaluation.rows
                }
                for name, result in self.bundles.items()
            }
            for metric in metrics
        }

    def to_json(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return {
            "budget": self.budget,
            "folds": self.folds,
            "versions": self.versions,
            "failures": self.failures,
            "bundles": {
                name: result.costs() | result.evaluation.to_json()
                for name, result in self.bundles.items()
            },
        }
