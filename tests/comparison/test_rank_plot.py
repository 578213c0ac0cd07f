"""Mean ranks are drawn as a critical-difference diagram."""

from itertools import combinations, pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

from pipeline.comparison.rank_plot import alternative, rank_plot
from pipeline.comparison.statistics import Ranking, compare_metrics

BUNDLES = (
    "fcn", "unet2d", "unet3d", "vnet", "unetplusplus", "unet3plus", "resunetplusplus",
    "no_new_net", "resnet_vae", "multiresunet", "u2net",
)  # fmt: skip
SVG = "{http://www.w3.org/2000/svg}"


def ranking(names: tuple[str, ...], noise: float) -> Ranking:
    """Of bundles whose Dice falls in the order of their names, but for the noise of each case."""
    generator = np.random.default_rng(0)
    scores = {
        name: {
            (str(case), "all"): 0.9 - 0.01 * i + value
            for case, value in enumerate(generator.normal(0, noise, 30))
        }
        for i, name in enumerate(names)
    }
    return compare_metrics({"dice": scores}).metrics["dice"].overall


def texts(svg: ElementTree.Element) -> list[str]:
    return ["".join(text.itertext()) for text in svg.iter(f"{SVG}text")]


def test_every_bundle_stands_beside_its_mean_rank() -> None:
    ranks = ranking(BUNDLES, 0.03)
    written = texts(ElementTree.fromstring(rank_plot(ranks, "Dice")))
    for name, rank in ranks.ranks.items():
        assert f"{name} {rank:.2f}" in written


def test_names_do_not_overlap() -> None:
    svg = ElementTree.fromstring(rank_plot(ranking(BUNDLES, 0.03), "Dice"))
    places = [
        (float(text.get("x", "")), float(text.get("y", "")))
        for text in svg.iterfind(f"{SVG}g[@class='leg']/{SVG}text")
    ]
    assert len(places) == 11
    for (x, y), (other_x, other_y) in combinations(places, 2):
        assert x != other_x or abs(y - other_y) >= 20


def test_all_is_within_the_picture() -> None:
    ranks = ranking(BUNDLES, 0.03)
    svg = ElementTree.fromstring(rank_plot(ranks, "Dice"))
    _, _, width, height = map(float, svg.get("viewBox", "").split())
    for text in svg.iter(f"{SVG}text"):
        length = 8.5 * len("".join(text.itertext()))
        x, anchor = float(text.get("x", "")), text.get("text-anchor")
        assert x - length >= 0 if anchor == "end" else x >= 0
        assert x + length <= width if anchor in ("start", None) else x <= width
        assert float(text.get("y", "")) < height


def test_each_group_has_a_bar() -> None:
    ranks = ranking(BUNDLES, 0.03)
    svg = ElementTree.fromstring(rank_plot(ranks, "Dice"))
    assert len(ranks.groups) > 1
    assert len(svg.findall(f"{SVG}path[@class='group']")) == len(ranks.groups)


def test_the_best_is_at_the_left() -> None:
    ranks = ranking(("a", "b", "c", "d"), 0.0)
    svg = ElementTree.fromstring(rank_plot(ranks, "Dice"))
    starts = [
        path.get("d", "").split()[0] for path in svg.iterfind(f"{SVG}g[@class='leg']/{SVG}path")
    ]
    places = [float(start.removeprefix("M")) for start in starts]
    assert list(ranks.ranks) == ["a", "b", "c", "d"]
    assert all(left < right for left, right in pairwise(places))


def test_two_bundles_have_no_ruler() -> None:
    svg = ElementTree.fromstring(rank_plot(ranking(("a", "b"), 0.0), "Dice"))
    assert svg.find(f"{SVG}g[@class='ruler']") is None
    assert "a 1.00" in texts(svg)


def test_the_text_alternative_has_ranks_and_groups() -> None:
    ranks = ranking(("a", "b", "c"), 0.0)
    # 2.343 sqrt(3 * 4 / (6 * 30)) = 0.605
    assert alternative(ranks, "Dice") == (
        "Mean ranks by Dice, 1 is best: a 1.00, b 2.00, c 3.00. Critical difference 0.61. "
        "Not told apart: none."
    )
    svg = ElementTree.fromstring(rank_plot(ranks, "Dice"))
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == alternative(ranks, "Dice")


@pytest.mark.parametrize("name", ["<script>", "a & b", '"quoted"'])
def test_names_are_escaped(name: str) -> None:
    svg = ElementTree.fromstring(rank_plot(ranking((name, "b", "c"), 0.0), "Dice"))
    assert f"{name} 1.00" in texts(svg)
