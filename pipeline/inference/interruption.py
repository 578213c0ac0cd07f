"""Ctrl-C, SIGTERM and a closing terminal end a run where it can be ended; a second one at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _State(threading.local):
    """Of each thread, since signals reach the main one alone."""

    heeded = False
    came = False


_state = _State()


@contextmanager
def held() -> Iterator[None]:
    """Let them wait for a point within that is ``heeding``, or for the end; a second one does not.

    A thread other than the main one gets no signals. Ctrl-C does what it did if that was not to
    raise ``KeyboardInterrupt``, and so does a closing terminal if that was not to end the process.

    Raises:
        KeyboardInterrupt: one came.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is _came:
        yield
        return
    signals = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signals.append(signal.SIGINT)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signals.append(signal.SIGHUP)
    _state.heeded = _state.came = False
    before = {}
    try:
        for one in signals:
            before[one] = signal.signal(one, _came)
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        _end_if_one_came()


@contextmanager
def heeding() -> Iterator[None]:
    """Where a run may be ended: while it computes or waits, and changes nothing that is kept.

    Raises:
        KeyboardInterrupt: one came, or comes within.
    """
    _state.heeded = True
    try:
        _end_if_one_came()
        yield
    finally:
        _state.heeded = False


def _came(_signal: int, _frame: FrameType | None) -> None:
    at_once = _state.heeded or _state.came
    _state.came = True
    if at_once:
        _end_if_one_came()


def _end_if_one_came() -> None:
    if _state.came:
        _state.came = _state.heeded = False
        raise KeyboardInterrupt
