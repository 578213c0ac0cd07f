from itertools import chain, islice

import pytest

from pipeline.data import batches as module
from pipeline.data.batches import EpochBatches
from pipeline.errors import UserError


def indices(epoch):
    return [[index for _, _, index in batch] for batch in epoch]


@pytest.fixture
def as_rank(monkeypatch):
    """Make this process one of several."""

    def become(rank, world_size):
        monkeypatch.setattr(module, "rank", lambda: rank)
        monkeypatch.setattr(module, "world_size", lambda: world_size)

    return become


def test_each_epoch_visits_every_case_once_in_an_order_of_its_own():
    sampler = EpochBatches([None] * 20, 3, seed=0)
    epochs = [list(sampler) for _ in range(3)]
    assert len(sampler) == 7
    for number, epoch in enumerate(epochs):
        keys = sorted(chain.from_iterable(epoch))
        assert keys == [(number, 0, index) for index in range(20)]
        assert [len(batch) for batch in epoch] == [3, 3, 3, 3, 3, 3, 2]
    assert len({str(indices(epoch)) for epoch in epochs}) == 3


def test_the_order_is_one_of_the_seed():
    first, again, other = (list(EpochBatches([None] * 20, 2, seed)) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_going_on_in_the_middle_of_an_epoch_gives_what_was_left():
    whole, resumed = EpochBatches([None] * 10, 3, 0), EpochBatches([None] * 10, 3, 0)
    epochs = [list(whole) for _ in range(3)]
    resumed.go_to(1, 2)
    assert list(resumed) == epochs[1][2:]
    assert list(resumed) == epochs[2]


def test_ranks_share_the_batch_of_one_rank_twice_as_large(as_rank):
    together = list(EpochBatches([None] * 8, 4, 0))
    as_rank(0, 2)
    first = list(EpochBatches([None] * 8, 2, 0))
    as_rank(1, 2)
    second = list(EpochBatches([None] * 8, 2, 0))
    assert [sorted(a + b) for a, b in zip(first, second, strict=True)] == [
        sorted(batch) for batch in together
    ]


def test_ranks_take_equally_many_cases_and_none_twice(as_rank):
    seen = []
    for rank in range(3):
        as_rank(rank, 3)
        sampler = EpochBatches([None] * 11, 2, 0)
        batches = list(sampler)
        assert len(batches) == len(sampler) == 2
        assert [len(batch) for batch in batches] == [2, 1]
        seen += chain.from_iterable(indices(batches))
    assert len(seen) == len(set(seen)) == 9


def test_more_ranks_than_cases_are_refused(as_rank):
    as_rank(0, 3)
    with pytest.raises(UserError, match="3 processes train together and there are 2 training"):
        EpochBatches([None] * 2, 1, 0)


def test_domains_take_turns_and_the_shorter_one_comes_again():
    domains = ["brats", "brats", "hippocampus", "brats", "hippocampus"]
    sampler = EpochBatches(domains, 1, seed=0)
    epoch = list(sampler)
    assert len(epoch) == len(sampler) == 6
    found = [domains[index] for (index,) in indices(epoch)]
    assert found == ["brats", "hippocampus"] * 3
    assert sorted(index for (index,) in indices(epoch)[::2]) == [0, 1, 3]
    visits = [key for ((_, visit, index),) in epoch[1::2] for key in [(visit, index)]]
    assert sorted(visits[:2]) == [(0, 2), (0, 4)]
    assert visits[2][0] == 1  # a second visit is another sample


def test_a_batch_is_of_one_domain():
    domains = ["a", "b"] * 5
    sampler = EpochBatches(domains, 2, seed=3)
    for batch in islice(chain.from_iterable([sampler, sampler]), 12):
        assert len({domains[index] for _, _, index in batch}) == 1
