"""Bundles that were scored on the same cases are ranked and tested."""

import json
from math import nan

import pytest

from pipeline.comparison.statistics import Ranking, Scores, compare_metrics

CASES = [f"case{i}" for i in range(12)]


def dice(**offsets: float) -> dict[str, dict[tuple[str, str], float]]:
    """Each bundle's Dice: a value that grows by case, plus the bundle's own offset, twice by case.

    The offset grows a little by case, so that no two differences tie.
    """
    return {
        bundle: {
            (case, region): 0.5 + 0.01 * i + offset * (1 + 0.01 * i)
            for i, case in enumerate(CASES)
            for region in ("left", "right")
        }
        for bundle, offset in offsets.items()
    }


def overall(scores: Scores, metric: str = "dice") -> Ranking:
    return compare_metrics({metric: scores}).metrics[metric].overall


def test_bundles_stand_from_the_best_mean_rank_to_the_worst() -> None:
    ranking = overall(dice(bad=-0.1, good=0.1, middling=0.0))
    assert list(ranking.ranks.items()) == [("good", 1), ("middling", 2), ("bad", 3)]
    assert list(ranking.spreads) == ["good", "middling", "bad"]


def test_of_distances_the_lowest_is_best() -> None:
    assert list(overall(dice(far=0.1, near=0.0), "hd95_mm").ranks) == ["near", "far"]


def test_a_case_is_the_mean_over_its_regions() -> None:
    one = {("a", "left"): 0.2, ("a", "right"): 0.4, ("b", "left"): 0.6, ("b", "right"): 0.8}
    ranking = overall({"net": one, "other": dict.fromkeys(one, 0.1)})
    assert ranking.num_cases == 2
    assert ranking.spreads["net"].mean == pytest.approx(0.5)
    assert ranking.spreads["net"].median == pytest.approx((0.3 + 0.7) / 2)


def test_each_region_is_ranked_by_itself() -> None:
    keys = [(case, region) for case in CASES for region in ("left", "right")]
    scores = {
        "a": {key: float(key[1] == "left") for key in keys},
        "b": {key: float(key[1] == "right") for key in keys},
    }
    rankings = compare_metrics({"dice": scores}).metrics["dice"]
    assert rankings.overall.ranks == {"a": 1.5, "b": 1.5}
    assert rankings.regions["left"].ranks == {"a": 1, "b": 2}
    assert rankings.regions["right"].ranks == {"b": 1, "a": 2}


def test_bundles_that_always_differ_differ_significantly() -> None:
    pair = overall(dice(good=0.1, bad=-0.1)).pairs[0]
    assert (pair.first, pair.better, pair.worse) == ("good", 12, 0)
    assert pair.p == pytest.approx(2 / 2**12)
    assert pair.differs


def test_p_values_are_corrected_over_all_pairs_of_a_metric() -> None:
    pairs = overall(dice(a=0.2, b=0.1, c=0.0)).pairs
    assert [(pair.first, pair.second) for pair in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [pair.p_holm for pair in pairs] == pytest.approx([3 * 2 / 2**12] * 3)


def test_equal_bundles_tie_and_do_not_differ() -> None:
    ranking = overall(dice(a=0.0, b=0.0, c=0.0))
    assert ranking.ranks == {"a": 2, "b": 2, "c": 2}
    assert ranking.friedman == (0, 1)
    assert ranking.groups == (("a", "b", "c"),)
    assert not any(pair.differs for pair in ranking.pairs)


def test_two_bundles_have_no_friedman_test_and_no_critical_difference() -> None:
    ranking = overall(dice(a=0.1, b=0.0))
    assert ranking.friedman is None
    assert ranking.critical_difference is None
    assert len(ranking.pairs) == 1


def test_neighbours_within_the_critical_difference_form_a_group() -> None:
    # 2.343 sqrt(3 * 4 / (6 * 12)) = 0.957: ranks 1, 2 and 3 all differ
    ranking = overall(dice(a=0.2, b=0.1, c=0.0))
    assert ranking.critical_difference == pytest.approx(0.957, abs=1e-3)
    assert ranking.groups == ()


def test_nobody_is_told_apart_where_friedmans_test_finds_nothing() -> None:
    orders = [(0.1, 0.2, 0.3), (0.2, 0.3, 0.1), (0.3, 0.1, 0.2), (0.3, 0.2, 0.1)]
    scores = {
        bundle: {(str(i), "all"): order[j] for i, order in enumerate(orders)}
        for j, bundle in enumerate("abc")
    }
    ranking = overall(scores)
    assert ranking.friedman is not None
    assert ranking.friedman.p > 0.05
    assert [set(group) for group in ranking.groups] == [set("abc")]


@pytest.mark.parametrize("broken", [nan, None])
def test_what_one_bundle_lacks_is_left_out_for_all_and_counted(broken: float | None) -> None:
    scores = dice(a=0.1, b=0.0)
    for region in ("left", "right"):
        if broken is None:
            del scores["b"]["case0", region]
        else:
            scores["b"]["case0", region] = broken
    ranking = overall(scores)
    assert ranking.num_cases == 11
    assert ranking.dropped == 2
    assert ranking.missing == {"b": 2}
    assert ranking.pairs[0].better == 11


def test_a_case_keeps_the_regions_that_all_bundles_have() -> None:
    scores = dice(a=0.1, b=0.0)
    scores["b"]["case0", "left"] = nan
    scores["a"]["case0", "right"] = 0.123
    ranking = overall(scores)
    assert ranking.num_cases == 12
    assert ranking.dropped == 1
    assert ranking.spreads["a"].mean == pytest.approx(
        (0.123 + sum(0.6 + 0.011 * i for i in range(1, 12))) / 12
    )


def test_a_bundle_without_any_number_is_named_and_the_others_are_ranked() -> None:
    ranking = overall(dice(a=0.1, b=0.0) | {"c": {}})
    assert ranking.absent == ("c",)
    assert list(ranking.ranks) == ["a", "b"]
    assert ranking.num_cases == 12


def test_a_bundle_that_lacks_most_cases_does_not_empty_the_comparison_of_the_others() -> None:
    scores = dice(a=0.1, b=0.0, c=0.2)
    scores["c"] = {key: value for key, value in scores["c"].items() if key[0] == "case3"}
    ranking = overall(scores)
    assert ranking.absent == ("c",)
    assert (ranking.num_cases, ranking.dropped) == (12, 0)


def test_bundles_without_a_common_case_are_not_ranked() -> None:
    ranking = overall({"a": {("x", "all"): 0.5}, "b": {("y", "all"): 0.5}})
    assert (ranking.num_cases, ranking.ranks, ranking.pairs) == (0, {}, ())


def test_one_case_is_ranked_but_not_tested() -> None:
    ranking = overall({"a": {("x", "all"): 1}, "b": {("x", "all"): 2}, "c": {("x", "all"): 3}})
    assert ranking.ranks == {"c": 1, "b": 2, "a": 3}
    assert ranking.friedman is None
    assert ranking.pairs == ()


def test_volumes_are_neither_better_high_nor_low_and_left_out() -> None:
    scores = dice(a=0.1, b=0.0)
    assert list(compare_metrics({"dice": scores, "volume_ml": scores}).metrics) == ["dice"]


def test_everything_can_be_written_as_json() -> None:
    statistics = compare_metrics({"dice": dice(a=0.1, b=0.0, c=0.2), "hd95_mm": dice(a=0.1)})
    written = json.loads(json.dumps(statistics.to_json(), allow_nan=False))
    assert written["metrics"]["dice"]["overall"]["ranks"] == {"c": 1, "a": 2, "b": 3}
    assert written["metrics"]["dice"]["overall"]["spreads"]["c"]["num_cases"] == 12
    assert written["metrics"]["dice"]["overall"]["friedman"]["statistic"] == pytest.approx(24)
    assert len(written["metrics"]["dice"]["regions"]["left"]["pairs"]) == 3
