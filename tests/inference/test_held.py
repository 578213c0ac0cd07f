"""When an interruption that is held ends a run."""

import os
import signal

import pytest

from pipeline.inference.interruption import heeding, held

pytestmark = pytest.mark.usefixtures("heeded")


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM])
def interrupt(request):
    """Send this process a signal."""
    return lambda: os.kill(os.getpid(), request.param)


@pytest.fixture(autouse=True)
def handlers():
    """Those of before are there afterwards."""
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(one) for one in signals]
    yield
    assert [signal.getsignal(one) for one in signals] == before


def reached(steps):
    """How many of ``steps`` were taken before an interruption ended them."""
    count = 0

    @held()
    def run():
        nonlocal count
        for step in steps:
            step()
            count += 1

    with pytest.raises(KeyboardInterrupt):
        run()
    return count


def wait():
    with heeding():
        pass


def test_it_waits_for_a_point_that_heeds_it(interrupt):
    assert reached([wait, interrupt, wait, wait]) == 2


def test_it_ends_what_heeds_it(interrupt):
    def compute():
        with heeding():
            interrupt()

    assert reached([wait, compute, wait]) == 1


def test_one_that_found_no_point_is_raised_in_the_end(interrupt):
    assert reached([interrupt]) == 1


def test_a_second_one_does_not_wait(interrupt):
    assert reached([interrupt, interrupt, wait]) == 1


def test_it_is_not_lost_where_something_else_goes_wrong(interrupt):
    def fail():
        raise OSError

    assert reached([interrupt, fail]) == 1


def test_it_goes_through_what_is_held_within(interrupt):
    inner = held()(lambda: [interrupt(), wait()])
    assert reached([inner, wait]) == 0


def test_one_run_leaves_nothing_to_the_next(interrupt):
    with pytest.raises(KeyboardInterrupt), held():
        interrupt()
    with held():
        wait()
