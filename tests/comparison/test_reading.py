"""The numbers of a ranking are told in sentences that claim no more than the tests do."""

from itertools import permutations

from pipeline.comparison.reading import p_text, reading
from pipeline.comparison.statistics import Scores, compare_metrics


def told(scores: Scores) -> str:
    return " ".join(reading(compare_metrics({"dice": scores}).metrics["dice"].overall, "Dice"))


def scores(**values: list[float]) -> dict[str, dict[tuple[str, str], float]]:
    return {
        name: {(f"case{i}", "all"): value for i, value in enumerate(own)}
        for name, own in values.items()
    }


def test_an_order_that_may_be_chance_is_called_so() -> None:
    # every order of three values once, so that all mean ranks are 2
    a, b, c = map(list, zip(*permutations([0.1, 0.2, 0.4]), strict=True))
    text = told(scores(a=a, b=b, c=c))
    assert "Dice, 6 cases: Friedman's test does not tell the bundles apart (p = 1.000)" in text
    assert "Of 3 pairs, 0 differ significantly" in text
    assert "Several share the best mean rank, 2.00." in text


def test_the_best_differs_from_some_and_not_from_others() -> None:
    falling = [0.8 + 0.001 * i for i in range(10)]
    text = told(
        scores(
            a=falling,
            b=[value - 0.01 + 0.0019 * i for i, value in enumerate(falling)],
            c=[value - 0.1 - 0.001 * i for i, value in enumerate(falling)],
        )
    )
    # a and c, b and c: 3 * 2 / 2^10 and 2 * 2 / 2^10; b is below a in six of ten cases only
    assert "Of 3 pairs, 2 differ significantly" in text
    assert "Not told apart: a – b." in text
    assert "It differs significantly from c, and does not differ significantly from b." in text


def test_fewer_than_two_common_cases_are_not_tested() -> None:
    text = told({"a": {("x", "all"): 0.5}, "b": {("y", "all"): 0.5}})
    assert "Nothing is tested by Dice" in text
    assert "Left out for all bundles: 2 pairs of case and region" in text


def test_a_bundle_without_numbers_is_named() -> None:
    text = told(scores(a=[0.1, 0.2, 0.3], b=[0.2, 0.3, 0.4]) | {"c": {}})
    assert "Without a number in most cases, so not ranked: c." in text


def test_small_p_values_are_not_printed_as_zero() -> None:
    assert p_text(0.0000001) == "< 0.001"
    assert p_text(0.0312) == "0.031"
