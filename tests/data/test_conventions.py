"""The convention that label files are written in."""

import pytest

from pipeline.data.cohorts import find_cohort, written_convention
from pipeline.errors import UserError
from tests.data.test_cohorts import BRATS2018, GLIOMA, PLAIN, write_case


@pytest.mark.parametrize(
    ("endings", "asked", "written"),
    [
        (BRATS2018, None, "brats2018"),
        (BRATS2018, "msd_brats", "msd_brats"),
        (PLAIN, None, "brats2023"),
    ],
)
def test_what_is_written_follows_the_wish_then_the_layout_then_the_newest(
    tmp_path, endings, asked, written
):
    write_case(tmp_path / "a", endings, prefix="" if endings is PLAIN else None)
    assert written_convention(GLIOMA, find_cohort(tmp_path, GLIOMA), asked) == written


def test_a_convention_that_does_not_fit_is_not_written(tmp_path):
    write_case(tmp_path / "a", BRATS2018)
    with pytest.raises(UserError, match="'classes' does not fit this task"):
        written_convention(GLIOMA, find_cohort(tmp_path, GLIOMA), "classes")
