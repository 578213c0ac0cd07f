"""What a training of a comparison may spend."""

import pytest

from pipeline.comparison.budget import Budget
from pipeline.errors import UserError


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("10min", "seconds", 600),
        ("90s", "seconds", 90),
        ("1.5h", "seconds", 5400),
        ("iterations=500", "iterations", 500),
        ("memory=2GiB", "gib", 2),
        ("memory=512MiB", "gib", 0.5),
    ],
)
def test_a_budget_is_read_from_its_text(text, field, value):
    budget = Budget.of(text)
    assert getattr(budget, field) == value
    assert [budget.seconds, budget.iterations, budget.gib].count(None) == 2


@pytest.mark.parametrize("text", ["", "10", "0s", "iterations=0", "memory=2", "1.2.3s", "ten min"])
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(UserError, match="cannot read the budget"):
        Budget.of(text)


def test_a_training_keeps_its_listeners_and_is_never_validated():
    overrides = Budget.of("90s").overrides(["first"])
    first, last = overrides["listeners"]
    assert first == "first"
    assert last["seconds"] == 90
    assert overrides["val_interval"] == overrides["max_epochs"] > 10**5
    assert overrides["lr_schedule"] is None
