"""Ranks, tests and corrections, on numbers that were published or are worked by hand."""

import numpy as np
import pytest

from pipeline.comparison.paired_tests import (
    critical_difference,
    friedman,
    groups_within,
    holm,
    mean_ranks,
    wilcoxon,
)

AUC = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9752, 0.9751],
        [0.957, 0.978, 0.946, 0.970],
    ]
)
"""Demšar, 2006, table 6: C4.5, C4.5+m, C4.5+cf and C4.5+m+cf on fourteen data sets.

Of voting, where he prints 0.975 twice, his ranks of the two are 2 and 3: here they differ so.
"""


def test_mean_ranks_are_those_that_demsar_prints() -> None:
    assert mean_ranks(AUC, True) == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)


def test_the_lowest_is_first_where_lower_is_better() -> None:
    assert mean_ranks(np.array([[3.0, 1.0, 2.0]]), False).tolist() == [3, 1, 2]


def test_ties_share_the_mean_of_their_ranks() -> None:
    assert mean_ranks(np.array([[0.5, 0.9, 0.5, 0.1]]), True).tolist() == [2.5, 1, 2.5, 4]


def test_the_noise_of_floating_point_does_not_break_a_tie() -> None:
    assert mean_ranks(np.array([[0.1 + 0.2, 0.3]]), True).tolist() == [1.5, 1.5]


@pytest.mark.parametrize(
    ("columns", "quantile"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)]
)
def test_nemenyis_quantiles_are_those_of_demsars_table_5(columns: int, quantile: float) -> None:
    scale = np.sqrt(columns * (columns + 1) / (6 * 30))
    assert critical_difference(columns, 30, 0.05) / scale == pytest.approx(quantile, abs=1e-3)


def test_the_critical_difference_of_demsars_example_is_1_25() -> None:
    assert critical_difference(4, 14, 0.05) == pytest.approx(1.25, abs=5e-3)


def test_friedmans_statistic_by_hand() -> None:
    # three columns in the same order in all of four cases: ranks 1, 2, 3;
    # 12 * 4 / (3 * 4) * (1 + 4 + 9 - 3 * 16 / 4) = 8, and p = exp(-8 / 2) with two degrees
    values = np.array([[0.9, 0.8, 0.7], [0.5, 0.4, 0.3], [0.8, 0.2, 0.1], [0.7, 0.6, 0.0]])
    assert friedman(values) == pytest.approx((8, np.exp(-4)))


def test_friedmans_statistic_is_corrected_for_ties() -> None:
    # Demšar prints 9.28 without the correction, a division by 1 - sum(t^3 - t) / (N (k^3 - k)):
    # ties are of four (60 of 60) in one data set and of two (6 of 60) in three
    corrected = 9.2836 / (1 - (60 + 3 * 6) / (14 * 60))
    assert friedman(AUC).statistic == pytest.approx(corrected, abs=1e-2)


def test_columns_that_are_equal_everywhere_do_not_differ() -> None:
    assert friedman(np.ones((5, 3))) == (0, 1)


def test_wilcoxons_p_is_that_of_demsars_example() -> None:
    # his T is 12 of 14 data sets, two of them ties: z = (12 - 52.5) / sqrt(14 * 15 * 29 / 24)
    assert wilcoxon(AUC[:, :1] - AUC[:, 1:2]) == pytest.approx(0.011, abs=1e-3)


def test_wilcoxons_p_is_exact_for_few_cases() -> None:
    # all of five differences point the same way: 2 of 2^5 signs are as extreme
    assert wilcoxon(np.array([[1.0], [2], [3], [4], [5]])) == pytest.approx(2 / 32)


def test_equal_measurements_have_a_p_of_one() -> None:
    assert wilcoxon(np.zeros((8, 1))).tolist() == [1]


def test_ties_of_one_pair_do_not_change_the_p_of_another() -> None:
    untied, tied = [1.0, 2, 3, 4, -5], [1.0, 1, 0, 2, -1]
    both = wilcoxon(np.array([untied, tied]).T)
    assert both[0] == wilcoxon(np.array([untied]).T)[0]
    assert both[1] == wilcoxon(np.array([tied]).T)[0]


def test_holms_correction_by_hand() -> None:
    # sorted 0.01, 0.02, 0.04: times 3, 2 and 1, none below the one before
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])


def test_holms_correction_does_not_exceed_one() -> None:
    assert holm([0.6, 0.5]).tolist() == [1, 1]


def test_holms_correction_never_falls() -> None:
    # 0.03 * 2 = 0.06 comes before 0.035 * 1
    assert holm([0.03, 0.035]) == pytest.approx([0.06, 0.06])


def test_groups_are_the_longest_runs_within_the_difference() -> None:
    assert groups_within([1.0, 1.5, 2.2, 4.0, 4.1], 1.0) == [(0, 1), (1, 2), (3, 4)]


def test_ranks_that_are_the_difference_apart_differ() -> None:
    assert groups_within([1.0, 2.0], 1.0) == []


def test_one_group_holds_all_that_lie_within_the_difference() -> None:
    assert groups_within([1.0, 1.2, 1.4], 1.0) == [(0, 2)]
