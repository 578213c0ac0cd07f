"""A training that fails says why."""

import sys

import pytest

from pipeline.comparison import processes
from pipeline.comparison.processes import Training
from pipeline.comparison.settings import Settings, entries
from pipeline.errors import UserError


@pytest.fixture
def ended(tmp_path, monkeypatch):
    """Run a training that only writes what it is told, and give the sentence of its failure."""
    (entry,) = entries(["vnet"], Settings(), {}).values()
    start = processes._ended

    def call(code):
        command = [sys.executable, "-c", code]
        monkeypatch.setattr(processes, "_ended", lambda _, log: start(command, log))
        files = (tmp_path / "split.json", tmp_path / "run", tmp_path / "training.log")
        with pytest.raises(UserError) as error:
            Training(tmp_path).run(entry, {}, *files)
        return str(error.value)

    return call


def test_the_reason_is_of_this_attempt(ended):
    assert ended("print('unet-bundles: the disk is full'); exit(2)").startswith("the disk is full")
    text = ended("import os; os.kill(os.getpid(), 11)")
    assert text.startswith("the training ended with status -11")


def test_a_log_that_is_no_text_has_a_reason(ended):
    text = ended("import os; os.write(1, b'\\xe9\\nunet-bundles: no room\\n'); exit(2)")
    assert text.startswith("no room; the training wrote ")
