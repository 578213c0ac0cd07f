"""Ctrl-C and SIGTERM: both end a run, but only at points where it can be ended."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _State(threading.local):
    """Of each thread, since signals reach the main one alone."""

    heeded = True
    came = False


_state = _State()


@contextmanager
def held() -> Iterator[None]:
    """Let both wait for a point within that is ``heeding``, or for the end; then the run is ended.

    A thread other than the main one gets no signals, and a handler of the caller's own is left.

    Raises:
        KeyboardInterrupt: at such a point, one came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signals.append(signal.SIGINT)
    before = [signal.signal(one, _came) for one in signals]
    _state.heeded = _state.came = False
    try:
        yield
    finally:
        _state.heeded = True
        for one, handler in zip(signals, before, strict=True):
            signal.signal(one, handler)
    _end_if_one_came()


@contextmanager
def heeding() -> Iterator[None]:
    """Where a run may be ended: while it computes or waits, and changes nothing that is kept.

    Raises:
        KeyboardInterrupt: one came, or comes within.
    """
    before, _state.heeded = _state.heeded, True
    try:
        _end_if_one_came()
        yield
    finally:
        _state.heeded = before


def _came(_signal: int, _frame: FrameType | None) -> None:
    _state.came = True
    if _state.heeded:
        _end_if_one_came()


def _end_if_one_came() -> None:
    if _state.came:
        _state.came = False
        raise KeyboardInterrupt
