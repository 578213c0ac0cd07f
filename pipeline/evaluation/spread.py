"""How a metric spreads over the cases of a cohort."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
"""Cohorts drawn with replacement for an interval."""

_BLOCK = 500
"""Of them are held in memory as large numbers at once; else a byte a case."""


class Spread(NamedTuple):
    """A metric over the cases for which it is defined; all NaN where there is no such case.

    Args:
        num_cases: cases for which the metric is defined.
        mean: over those cases.
        std: sample standard deviation (``ddof=1``); 0 for one case.
        median: half of the cases lie below.
        q1: a quarter of the cases lies below.
        q3: three quarters of the cases lie below.
        low: lower end of the 95 % bootstrap interval of the mean.
        high: upper end of the 95 % bootstrap interval of the mean.
    """

    num_cases: int
    mean: float
    std: float
    median: float
    q1: float
    q3: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of the values that are not NaN.

        The interval is Efron's percentile interval: from the 2.5th to the 97.5th percentile of the
        means of ``RESAMPLES`` cohorts that a fixed seed draws.
        """
        defined = np.asarray(values, dtype=np.float64)
        defined = defined[~np.isnan(defined)]
        if not defined.size:
            return cls(0, *[float("nan")] * 7)
        std = np.std(defined, ddof=1) if defined.size > 1 else 0.0
        q1, median, q3 = np.percentile(defined, (25, 50, 75))
        low, high = np.percentile(_means(defined), (2.5, 97.5))
        numbers = (np.mean(defined), std, median, q1, q3, low, high)
        return cls(defined.size, *map(float, numbers))


def _means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of each resample, shape (RESAMPLES,)."""
    blocks = np.split(_draws(values.size), RESAMPLES // _BLOCK)
    return np.concatenate([block @ values for block in blocks]) / values.size


@lru_cache(maxsize=2)
def _draws(num_cases: int) -> NDArray[np.uint8]:
    """How often each resample holds each case, shape (RESAMPLES, num_cases)."""
    generator = np.random.default_rng(0)
    alike = np.full(num_cases, 1 / num_cases)
    blocks = [
        generator.multinomial(num_cases, alike, size=_BLOCK).astype(np.uint8)
        for _ in range(RESAMPLES // _BLOCK)
    ]
    return np.concatenate(blocks)
