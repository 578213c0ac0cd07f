"""Interruptions as in a terminal, on a machine that is busy."""

import signal

import pytest


@pytest.fixture
def heeded():
    """Ctrl-C does what it does in a terminal; a shell lets what it starts aside ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def patient(monkeypatch):
    """What is being written when a run is interrupted has a minute to end."""
    monkeypatch.setattr("pipeline.inference.workers.GRACE", 60.0)
