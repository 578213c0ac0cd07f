"""How many windows go at once, and how many cases are read meanwhile."""

from types import SimpleNamespace

import pytest

from pipeline.errors import UserError
from pipeline.inference.memory import WORKER, Limit
from pipeline.inference.plan import Windowing, plan_windows

GIB = 2**30
SHAPE = (64, 64, 64)
PREPARED = SimpleNamespace(
    image=SimpleNamespace(shape=(64, 1, 64, 64)),
    grid=SimpleNamespace(native_shape=SHAPE, slab_axis=2),
)


class Fake:
    """Takes a GiB for each window."""

    def __init__(self, free_bytes=None):
        self.free = free_bytes

    def free_bytes(self):
        return self.free

    def peak_bytes(self, shape):
        return shape[0] * GIB


def room(backend, gib, batch=4, ahead=4):
    plan = plan_windows(SHAPE, Windowing(3, (32, 32, 32)))
    return Limit.of(gib).room(backend, plan, PREPARED, channels=2, batch=batch, ahead=ahead)


def alone():
    """GiB that one window at a time takes, while no case is read."""
    return room(Fake(), 64, batch=1, ahead=0).expected / GIB


@pytest.mark.parametrize(("more", "batch"), [(0.2, 1), (1.2, 2), (2.8, 2), (3.2, 4)])
def test_as_many_windows_go_at_once_as_fit(more, batch):
    assert room(Fake(), alone() + more).batch_size == batch


def test_where_no_window_fits_the_floor_is_told():
    with pytest.raises(
        UserError, match=r"^segmenting takes at least \d\.\d\d GiB here, and 1\.00 GiB"
    ):
        room(Fake(), 1)


@pytest.mark.parametrize(("free", "batch"), [(8 * GIB, 4), (3 * GIB, 2), (GIB // 2, 1)])
def test_on_a_card_what_it_has_free_decides(free, batch):
    assert room(Fake(free), 64).batch_size == batch


def test_what_lies_on_a_card_is_not_of_the_memory_of_the_machine():
    assert room(Fake(64 * GIB), alone() - 0.5).batch_size == 4


def test_a_case_is_only_read_ahead_where_two_can_be_written():
    found = [room(Fake(), alone() + more * WORKER / GIB, batch=1) for more in (1.5, 2.5)]
    assert [one.reads_ahead for one in found] == [0, 1]
