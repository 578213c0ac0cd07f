"""A comparison is written as one page that stands alone."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.comparison.page import write_page
from pipeline.comparison.results import BundleResult, Comparison
from pipeline.comparison.statistics import compare_metrics
from pipeline.errors import UserError
from pipeline.evaluation import Evaluation
from pipeline.evaluation.tables import METRICS, Failure, Row

BUNDLES = {"unet3d": 0.02, "vnet": 0.0, "no_new_net": 0.1}


def row(case: int, region: str, dice: float) -> Row:
    """A row whose other numbers follow from the Dice, more or less."""
    fractions = dict.fromkeys(("nsd", "sensitivity", "precision", "lesion_dice"), dice)
    distances = dict.fromkeys(("hd95_mm", "hd_mm", "assd_mm", "lesion_hd95_mm"), 10 * (1 - dice))
    volumes = dict.fromkeys(("volume_ml", "reference_ml", "volume_error_ml"), 1.0)
    lesions = {"lesions_found": 1, "lesions_missed": 0, "lesions_false": 0}
    return Row(
        case=f"case{case}",
        region=region,
        dice=dice,
        iou=dice / (2 - dice),
        **fractions,
        **distances,
        **volumes,
        **lesions,
    )


def comparison(bundles: dict[str, float]) -> Comparison:
    """Twelve cases of two regions, in which each bundle has its own constant gain."""
    results = {
        name: BundleResult(
            parameters=1_234_567,
            multiply_adds=2_000_000_000,
            patch_size=(48, 64, 48),
            iterations=321,
            train_seconds=180.4,
            seconds_per_case=0.25,
            peak_gib=1.5,
            evaluation=Evaluation(
                tuple(
                    row(case, region, 0.5 + (0.02 + 0.001 * gain) * case + gain)
                    for case in range(12)
                    for region in ("anterior", "posterior")
                ),
                (),
            ),
        )
        for name, gain in bundles.items()
    }
    return Comparison(results, "3min", 1, {"python": "3.11.9", "torch": "2.13.0"}, {})


def page(compared: Comparison, folder: Path, metrics: tuple[str, ...] = ("dice",)) -> str:
    path = write_page(folder, compared, compare_metrics(compared.scores(metrics)))
    return path.read_text()


class Elements(HTMLParser):
    """The start tags of a page with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def attributes(html: str, *names: str) -> Iterator[str | None]:
    return (found[name] for _, found in Elements(html).found for name in names if name in found)


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    return page(comparison(BUNDLES), tmp_path_factory.mktemp("page"), ("dice", "hd95_mm"))


def test_the_page_is_called_comparison_html(tmp_path: Path) -> None:
    compared = comparison(BUNDLES)
    path = write_page(tmp_path / "new", compared, compare_metrics(compared.scores(["dice"])))
    assert path == tmp_path / "new" / "comparison.html"
    assert [file.name for file in path.parent.iterdir()] == ["comparison.html"]


def test_nothing_is_fetched_and_no_script_runs(html: str) -> None:
    assert list(attributes(html, "src", "href", "xlink:href", "srcset", "data", "action")) == []
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in Elements(html).found}
    assert "url(" not in html
    assert "@import" not in html


def test_every_bundle_is_in_each_table_and_in_each_diagram(html: str) -> None:
    for name in BUNDLES:
        # costs, scores, and for each of two metrics: its regions, and its pairs down and across
        assert len(re.findall(f'<th scope="row">{name}</th>', html)) == 2 + 2 * 2
        assert len(re.findall(f"<text[^>]*>{name} <", html)) == 2


def test_bundles_stand_in_the_order_of_their_mean_ranks(html: str) -> None:
    rows = re.findall('<th scope="row">(.*?)</th>', html)
    assert rows[:3] == ["no_new_net", "unet3d", "vnet"]


def test_costs_are_told_with_their_units(html: str) -> None:
    text = Elements(html).text
    for told in ("1.23 M", "2.00 G", "13.6 k", "48×64×48", "321", "180", "0.25", "1.50", "GiB"):
        assert told in text


def test_a_mean_stands_with_its_interval(tmp_path: Path) -> None:
    compared = comparison({"a": 0.0, "b": 0.1})
    spread = compare_metrics(compared.scores(["dice"])).metrics["dice"].overall.spreads["a"]
    assert spread.mean == pytest.approx(0.61)  # 0.5 + 0.02 * 5.5
    cell = f"0.610<small>{spread.low:.3f} – {spread.high:.3f}</small>"
    assert cell in page(compared, tmp_path)


def test_the_page_says_which_pairs_differ(html: str) -> None:
    # all of twelve differences point the same way: 3 * 2 / 2^12
    text = Elements(html).text
    assert "Of 3 pairs, 3 differ significantly" in text
    assert "no_new_net has the best mean rank, 1.00 of 3." in text
    assert "It differs significantly from unet3d and vnet." in text
    assert text.count("0.001*") == 6


def test_the_page_says_which_pairs_do_not_differ(tmp_path: Path) -> None:
    text = Elements(page(comparison({"a": 0.0, "b": 0.0, "c": 0.1}), tmp_path)).text
    assert "Not told apart: a – b." in text


def test_two_bundles_are_compared_without_a_critical_difference(tmp_path: Path) -> None:
    text = Elements(page(comparison({"a": 0.0, "b": 0.1}), tmp_path)).text
    assert "two bundles, so no test of all together" in text
    assert "Wilcoxon's test: p < 0.001." in text
    assert "CD " not in text


def test_one_bundle_is_shown_alone(tmp_path: Path) -> None:
    html = page(comparison({"a": 0.0}), tmp_path)
    assert "Nothing is tested by Dice" in Elements(html).text
    assert "<svg" not in html


def test_failures_are_told_also_where_no_bundle_is_left(tmp_path: Path) -> None:
    compared = replace(comparison({}), failures={"vnet": "out of memory: set batch_size to 1"})
    text = Elements(page(compared, tmp_path)).text
    assert "vnet: out of memory: set batch_size to 1" in text


def test_cases_without_scores_are_told(tmp_path: Path) -> None:
    compared = comparison({"a": 0.0, "b": 0.1})
    whole = compared.bundles["b"]
    kept = tuple(row for row in whole.evaluation.rows if row.case != "case3")
    failed = replace(whole.evaluation, rows=kept, failures=(Failure("case3", "it broke"),))
    compared.bundles["b"] = replace(whole, evaluation=failed)
    text = Elements(page(compared, tmp_path)).text
    assert "b, case3: it broke" in text
    assert "Left out for all bundles: 2 pairs of case and region" in text
    assert "lacking: b 2" in text


def test_what_others_wrote_is_escaped(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    compared = replace(
        comparison({hostile: 0.0, "b": 0.1, "c": 0.2}),
        budget=hostile,
        versions={hostile: hostile},
        failures={hostile: hostile},
    )
    assert "<script" not in page(compared, tmp_path)


def test_every_metric_that_has_a_better_side_can_be_shown(tmp_path: Path) -> None:
    judged = {
        name: metric for name, metric in METRICS.items() if metric.higher_is_better is not None
    }
    html = page(comparison({"a": 0.0, "b": 0.1}), tmp_path, tuple(judged))
    for metric in judged.values():
        assert f"<summary>{metric.title}" in html


def test_pictures_and_scrolling_tables_are_named_and_reached_by_keyboard(html: str) -> None:
    found = Elements(html).found
    pictures = [attrs for tag, attrs in found if tag == "svg"]
    scrolling = [attrs for _, attrs in found if attrs.get("class") == "scroll"]
    assert len(pictures) == 2
    assert len(scrolling) >= 4
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in pictures)
    for attrs in scrolling:
        assert attrs["tabindex"] == "0"
        assert attrs.get("aria-label") or attrs.get("aria-labelledby")


def test_no_id_occurs_twice_and_each_label_has_its_element(html: str) -> None:
    ids = list(attributes(html, "id"))
    assert len(ids) == len(set(ids))
    assert set(attributes(html, "aria-labelledby")) <= set(ids)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="choose another output"):
        page(comparison({"a": 0.0}), tmp_path / "file")
