"""Tests of several measurements on the same cases, and the correction for many comparisons.

Everywhere ``values`` is (N, K): N cases, each measured K times, nothing missing. Differences below
1e-9 count as none, so that the noise of floating point neither breaks nor makes a tie. Source of
the choice of tests: Demšar, 2006, "Statistical Comparisons of Classifiers over Multiple Data Sets".
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

DECIMALS = 9

Values = NDArray[np.float64]


class Friedman(NamedTuple):
    """Friedman's statistic, corrected for ties, and its p-value by the chi-squared distribution."""

    statistic: float
    p: float


def mean_ranks(values: Values, higher_is_better: bool) -> Values:
    """The mean over cases of each column's rank within a case: 1 is best, ties share their mean."""
    rounded = np.round(values, DECIMALS)
    ranks = stats.rankdata(-rounded if higher_is_better else rounded, axis=1)
    return np.asarray(ranks.mean(axis=0))


def friedman(values: Values) -> Friedman:
    """Whether the columns' ranks differ more than chance makes them, for three columns or more."""
    rounded = np.round(values, DECIMALS)
    if not np.ptp(rounded, axis=1).any():  # all is tied, and the statistic would be 0 / 0
        return Friedman(0.0, 1.0)
    statistic, p = stats.friedmanchisquare(*rounded.T)
    return Friedman(float(statistic), float(p))


def wilcoxon(differences: Values) -> Values:
    """The two-sided p-values of Wilcoxon's signed-rank test, one a column.

    The ranks of differences of 0 are split evenly between the signs (Demšar, section 3.1.3). Up to
    50 cases without ties the p-value is exact, else that of the normal approximation; how fewer
    than 14 cases with ties are treated is left to scipy.

    Args:
        differences: (N, P) of two measurements of N cases, for P pairs of measurements.
    """
    rounded = np.round(differences, DECIMALS)
    sizes = np.sort(np.abs(rounded), axis=0)
    tied = (sizes[0] == 0) | (np.diff(sizes, axis=0) == 0).any(axis=0)
    p = np.ones(rounded.shape[1])  # where no case differs
    for chosen in (~tied, tied & rounded.any(axis=0)):  # scipy has one method for all columns
        if chosen.any():
            p[chosen] = stats.wilcoxon(rounded[:, chosen], zero_method="zsplit", axis=0).pvalue
    return p


def holm(p_values: ArrayLike) -> Values:
    """The p-values (P,) of one family, adjusted for the chance of any false claim within it.

    The smallest of m is multiplied by m, the next by m - 1 and so on, none falls below the one
    before it, and none exceeds 1. Source: Holm, 1979.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(adjusted, 1)


def critical_difference(num_columns: int, num_cases: int, alpha: float) -> float:
    """From which difference on two mean ranks differ by Nemenyi's test (Demšar, section 3.2.2).

    q sqrt(K (K + 1) / (6 N)), with q the studentised range's quantile divided by sqrt(2).
    """
    quantile = stats.studentized_range.ppf(1 - alpha, num_columns, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(num_columns * (num_columns + 1) / (6 * num_cases)))


def groups_within(sorted_ranks: Sequence[float], difference: float) -> list[tuple[int, int]]:
    """The longest runs of two or more neighbours whose ends differ by less than ``difference``.

    Args:
        sorted_ranks: ascending.
        difference: the critical one.

    Returns:
        The first and the last index of each run; runs may overlap, none lies within another.
    """
    runs: list[tuple[int, int]] = []
    for first, rank in enumerate(sorted_ranks):
        last = max(i for i, other in enumerate(sorted_ranks) if other - rank < difference)
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return runs
