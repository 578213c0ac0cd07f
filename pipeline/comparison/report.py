"""What is said about a comparison once all bundles are scored."""

from pathlib import Path

from pipeline.comparison.page import write_page
from pipeline.comparison.results import Comparison
from pipeline.comparison.statistics import compare_metrics
from pipeline.evaluation.tables import METRICS
from pipeline.files import write_json


def report(comparison: Comparison, output: Path) -> Path:
    """Write ``statistics.json`` and the page of ``comparison`` into ``output``.

    Returns:
        The file to open in a browser.
    """
    statistics = compare_metrics(comparison.scores(METRICS))
    write_json(output / "statistics.json", statistics.to_json())
    return write_page(output, comparison, statistics)
