"""How much memory a batch takes decides how large it may be."""

import json
from types import SimpleNamespace

import pytest

from pipeline.comparison.budget import Budget
from pipeline.comparison.memory import largest_batch
from pipeline.errors import UserError
from pipeline.training.budget import SPENT

ENTRY = SimpleNamespace(config={"listeners": []}, bundle=SimpleNamespace(name="unet3d"))


class Training:
    """Takes half a GiB a case on a GPU if there is one, and always 3 GiB of the host."""

    def __init__(self, gpu):
        self.gpu = gpu
        self.iterations = {}

    def run(self, _entry, overrides, _split, run, _log):
        run.mkdir(parents=True)
        (limit,) = (one["iterations"] for one in overrides["listeners"] if "iterations" in one)
        self.iterations[overrides["batch_size"]] = limit
        gib = overrides["batch_size"] / 2 if self.gpu else None
        (run / SPENT).write_text(json.dumps({"gpu_gib": gib, "peak_gib": None}))
        return 3.0


@pytest.fixture
def split(tmp_path):
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": list("abcdefgh"), "validation": ["i"]}))
    return path


def test_on_a_gpu_its_own_memory_counts(tmp_path, split):
    budget = Budget.of("memory=2GiB")
    assert largest_batch(ENTRY, budget, Training(gpu=True), split, tmp_path / "x") == 4


def test_on_a_cpu_that_of_the_process_counts(tmp_path, split):
    with pytest.raises(UserError, match="a batch of one takes more than"):
        largest_batch(ENTRY, Budget.of("memory=2GiB"), Training(gpu=False), split, tmp_path)


def test_two_full_batches_are_tried_whatever_their_size(tmp_path):
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": list("abcdefg"), "validation": ["i"]}))
    training = Training(gpu=True)
    largest_batch(ENTRY, Budget.of("memory=64GiB"), training, split, tmp_path / "x")
    assert training.iterations == {1: 2, 2: 2, 4: 3}
