import math

import numpy as np
import pytest

from pipeline.evaluation.spread import Spread


def test_a_spread_is_what_one_works_out_by_hand():
    spread = Spread.of([1.0, 2.0, 3.0, 4.0, 10.0])
    assert spread[:3] == pytest.approx((5, 4.0, 12.5**0.5))  # 9 + 4 + 1 + 0 + 36 over 4
    assert (spread.q1, spread.median, spread.q3) == (2, 3, 4)


def test_the_interval_of_two_values_reaches_from_one_to_the_other():
    # A resample of two is twice the lower value in a quarter of all draws.
    spread = Spread.of([0.25, 0.75])
    assert (spread.low, spread.high) == (0.25, 0.75)


def test_the_interval_is_that_of_a_loop_over_resamples():
    values = np.random.default_rng(1).normal(size=30)
    generator = np.random.default_rng(2)
    means = [generator.choice(values, size=30).mean() for _ in range(10_000)]
    spread = Spread.of(values.tolist())
    assert (spread.low, spread.high) == pytest.approx(np.percentile(means, (2.5, 97.5)), abs=0.02)


def test_the_interval_is_the_same_every_time():
    assert Spread.of([0.1, 0.5, 0.8]) == Spread.of([0.1, 0.5, 0.8])


def test_equal_values_have_no_interval():
    spread = Spread.of([0.5] * 7)
    assert (spread.std, spread.low, spread.high) == (0, 0.5, 0.5)


def test_nan_does_not_count():
    assert Spread.of([math.nan, 1.0, 3.0]) == Spread.of([1.0, 3.0])


def test_no_value_has_no_spread():
    spread = Spread.of([])
    assert spread.num_cases == 0
    assert all(math.isnan(number) for number in spread[1:])
