"""A report in a real browser, opened from disk."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.cli import main
from tests.report.browser import CHROMIUM, Page, browser
from tests.report.test_report import predict

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine"),
]

READY = "document.documentElement.dataset.ready === 'true'"
DRAWN = "document.getElementById('viewer').dataset.drawn"


@pytest.fixture(scope="module")
def report(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("report")
    predictions = predict(cohort, root / "predictions")
    given = ["--predictions", predictions, "--references", cohort, "--images", cohort]
    with pytest.raises(SystemExit) as end:
        main(["report", *map(str, given), "--output", str(root / "report")])
    assert end.value.code == 0
    return root / "report"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def case(tab: Page, report: Path) -> Page:
    tab.open(report / "cases" / "phantom-000.html")
    tab.wait_for(READY)
    return tab


def choose(page: Page, value: str) -> NDArray[np.uint8]:
    """The picture after a switch is clicked and drawn."""
    before = page.run(DRAWN)
    page.run(f"document.querySelector('.controls [value=\"{value}\"]').click()")
    page.wait_for(f"{DRAWN} !== {before!r}")
    return screen(page)


def screen(page: Page) -> NDArray[np.uint8]:
    """What the viewer shows, two frames later."""
    page.run("new Promise(r => requestAnimationFrame(() => requestAnimationFrame(() => r(1))))")
    x, y, width, height = page.run(
        "(({x, y, width, height}) => [x, y, width, height].map(Math.round))"
        "(document.getElementById('viewer').getBoundingClientRect())"
    )
    return page.picture()[max(y, 0) : y + height, x : x + width]


def coloured(picture: NDArray[np.uint8]) -> int:
    """Pixels that are not grey."""
    return int((np.ptp(picture.astype(int), axis=2) > 40).sum())


def test_the_prediction_is_drawn_in_colour_and_can_be_switched_off(case: Page) -> None:
    assert coloured(screen(case)) > 500
    without = choose(case, "none")
    assert coloured(without) < 50
    assert (without.min(axis=2) > 60).sum() > 5000  # the image is there


def test_each_switch_changes_the_picture(case: Page) -> None:
    pictures = [screen(case)]
    for value in ("reference", "difference", "prediction", "ET", "2"):
        pictures.append(choose(case, value))
        assert (pictures[-1] != pictures[-2]).sum() > 100, value


def test_opacity_changes_the_picture(case: Page) -> None:
    before, drawn = screen(case), case.run(DRAWN)
    case.run(
        "(o => { o.value = 100; o.dispatchEvent(new Event('input')) })"
        "(document.getElementById('opacity'))"
    )
    case.wait_for(f"{DRAWN} !== {drawn!r}")
    assert (screen(case) != before).sum() > 100


def test_the_crosshair_is_in_millimetres_and_moves_by_keyboard(case: Page) -> None:
    def place() -> list[float]:
        return case.run("[0, 1, 2].map(i => document.getElementById('mm' + i).valueAsNumber)")

    before = place()
    case.run("document.getElementById('viewer').focus()")
    case.press("PageUp")
    moved = np.subtract(place(), before)
    assert np.linalg.norm(moved) == pytest.approx(1.5, abs=0.15)  # mm between the slices


def test_the_crosshair_starts_within_the_prediction(case: Page) -> None:
    place = case.run("document.getElementById('place').textContent")
    assert place.partition("prediction: ")[2] in ("oedema", "core", "enhancing")


def test_controls_are_reached_by_the_keyboard(case: Page) -> None:
    reached = []
    for _ in range(14):
        case.press("Tab")
        reached.append(case.run("document.activeElement.name || document.activeElement.id"))
    assert {"viewer", "image", "labels", "region", "opacity", "plane", "mm0"} <= set(reached)
    case.run("document.querySelector('[name=region]').focus()")
    case.press(" ")
    assert case.run("document.querySelector('[name=region]').checked") is False


def test_nothing_is_asked_for_outside_and_nothing_is_complained_of(tab: Page, report: Path) -> None:
    for file in (report / "index.html", report / "cases" / "phantom-001.html"):
        tab.open(file)
        if file.stem != "index":
            tab.wait_for(READY)
        inside = (f"{report.as_uri()}/", "data:", "blob:")
        assert [url[:200] for url in tab.requests if not url.startswith(inside)] == []
        assert tab.complaints == []


def test_pictures_have_words(tab: Page, report: Path) -> None:
    wordless = (
        "[...document.querySelectorAll('img, canvas, svg')].filter(e => "
        "!(e.alt || e.getAttribute('aria-label'))).length"
    )
    for file in (report / "index.html", report / "cases" / "phantom-001.html"):
        tab.open(file)
        assert tab.run("document.querySelectorAll('img, canvas, svg').length") > 0
        assert tab.run(wordless) == 0


def test_heads_of_the_columns_sort(tab: Page, report: Path) -> None:
    tab.open(report / "index.html")
    names = "[...document.querySelectorAll('.sortable tbody th')].map(e => e.textContent)"
    tab.run("document.querySelector('.sortable th:nth-child(2) button').click()")
    assert tab.run(names) == ["phantom-000", "phantom-001", "phantom-002"]
    tab.run("document.querySelector('.sortable th:nth-child(2) button').click()")
    assert tab.run(names) == ["phantom-002", "phantom-001", "phantom-000"]


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_text_stands_out_in_dark_and_in_light(tab: Page, report: Path, scheme: str) -> None:
    tab.prefer(scheme)
    tab.open(report / "index.html")
    ink, paper = (
        tab.run(f"getComputedStyle(document.body).{name}.match(/\\d+/g).slice(0, 3).map(Number)")
        for name in ("color", "backgroundColor")
    )
    assert contrast(ink, paper) >= 7
    assert (np.mean(paper) < 128) == (scheme == "dark")


def contrast(one: list[int], other: list[int]) -> float:
    """The contrast ratio of WCAG 2."""

    def luminance(colour: list[int]) -> float:
        part = np.array(colour) / 255
        linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)
