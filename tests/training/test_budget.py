"""A training ends when its budget is spent, and its rate with it."""

import json
from time import sleep

import pytest
import torch
from ignite.engine import Engine, Events

from pipeline.errors import UserError
from pipeline.training import StopAfter


def trainer(stop: StopAfter, seconds: float = 0.0) -> Engine:
    """A trainer whose iterations take so many seconds and change nothing."""
    engine = Engine(lambda *_: sleep(seconds))
    stop.attach(engine)
    return engine


def sgd(lr: float) -> torch.optim.SGD:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def test_a_training_ends_in_the_middle_of_an_epoch(tmp_path):
    engine = trainer(StopAfter(sgd(0.1), str(tmp_path), iterations=5))
    assert engine.run([0] * 3, max_epochs=100).iteration == 5


def test_the_rate_falls_to_zero_with_what_is_left(tmp_path):
    optimizer = sgd(0.1)
    engine = trainer(StopAfter(optimizer, str(tmp_path), iterations=4))
    rates = []
    engine.add_event_handler(
        Events.ITERATION_COMPLETED, lambda: rates.append(optimizer.param_groups[0]["lr"])
    )
    engine.run([0] * 3, max_epochs=100)
    assert rates == pytest.approx([0.1 * left**0.9 for left in (0.75, 0.5, 0.25, 0.0)])


def test_a_training_ends_after_its_seconds(tmp_path):
    engine = trainer(StopAfter(sgd(0.1), str(tmp_path), seconds=0.2), seconds=0.01)
    assert 1 <= engine.run([0] * 3, max_epochs=100).iteration <= 20
    spent = json.loads((tmp_path / "budget.json").read_text())
    assert spent["iterations"] == engine.state.iteration
    assert spent["seconds"] >= 0.2


def test_seconds_before_a_cut_count(tmp_path):
    stop = StopAfter(sgd(0.1), str(tmp_path), seconds=1000)
    engine = trainer(stop)
    engine.add_event_handler(Events.STARTED, lambda: stop.load_state_dict({"seconds": 1000.0}))
    assert engine.run([0] * 3, max_epochs=100).iteration == 1
    assert stop.state_dict()["seconds"] >= 1000


@pytest.mark.parametrize("limits", [{}, {"seconds": 1, "iterations": 1}, {"seconds": 0}])
def test_a_budget_is_seconds_or_iterations(limits, tmp_path):
    with pytest.raises(UserError, match="one of the two and above zero"):
        StopAfter(sgd(0.1), str(tmp_path), **limits)
