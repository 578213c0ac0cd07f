"""What the rounds gave, in Markdown: medians, their spread, and ratios to the first row."""

from collections.abc import Callable, Sequence
from statistics import median

import numpy as np
from benchmark.rounds import Results
from numpy.typing import NDArray

Cell = Callable[[Results], str]


def table(results: dict[str, Results], reference: str | None, peak: float | None) -> str:
    """A row for each contender.

    Args:
        results: by contender, the first being ours; ratios are taken round by round.
        reference: whose labels the others are compared with.
        peak: multiply-adds a second of the machine's best matrix product, over those that the
            network needs for a voxel: voxels a second of a network at the peak.
    """
    first = next(iter(results.values()))
    columns: dict[str, Cell] = {
        "wall s (min-max)": lambda own: spread(own.walls),
        "x ours (min-max)": lambda own: spread(ratios(own.walls, first.walls), 2),
        "forward s": lambda own: f"{median(own.forward_s):.1f}",
        "CPU s": lambda own: f"{median(cost.cpu_s for cost in own.costs):.1f}",
        "peak GB": lambda own: f"{memory(own) / 1e9:.2f}",
        "x ours": lambda own: f"{memory(own) / memory(first):.2f}",
    }
    if peak:
        columns["share of peak %"] = lambda own: f"{100 * share(own, peak):.0f}"
    if reference:
        columns["labels equal % (of labelled)"] = lambda own: equal(own, results[reference])
    lines = [["", *columns], ["---"] * (1 + len(columns))]
    lines += [[name, *(cell(own) for cell in columns.values())] for name, own in results.items()]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def ratios(values: Sequence[float], others: Sequence[float]) -> list[float]:
    """Of one contender to another, by round."""
    return [value / other for value, other in zip(values, others, strict=True)]


def memory(own: Results) -> float:
    """Bytes, the median of the peaks."""
    return median(cost.peak_bytes for cost in own.costs)


def share(own: Results, peak: float) -> float:
    """Of the voxels that the network would compute at the machine's ``peak`` in its time."""
    return median(forward.voxels / forward.seconds for forward in own.forwards) / peak


def equal(own: Results, reference: Results) -> str:
    """How far two label maps agree, as a cell."""
    overall, labelled = agreement(own.labels, reference.labels)
    return f"{overall:.3f} ({labelled:.2f})"


def agreement(labels: NDArray[np.uint8], others: NDArray[np.uint8]) -> tuple[float, float]:
    """Percent of equal voxels: of all, and of those that either labels."""
    same = labels == others
    labelled = (labels > 0) | (others > 0)
    return 100 * float(same.mean()), 100 * float(same[labelled].mean()) if labelled.any() else 100.0


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median, least and largest."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"
