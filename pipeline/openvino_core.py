"""OpenVINO as this project uses it: silent, and loaded once for the life of the process."""

import sys
from functools import cache
from threading import Lock
from types import ModuleType
from typing import Any, cast

_ONE_AT_A_TIME = Lock()


def imported() -> Any:
    """OpenVINO, kept from reporting its import over the internet."""
    sys.modules.setdefault("openvino_telemetry", cast("ModuleType", None))  # found missing by it
    import openvino

    return openvino


def core() -> Any:
    """The one core of this process, for any thread.

    Its CPU plugin gives the main thread a stack for signals and takes it away when it ends; Python
    handles Ctrl-C on that stack, so the process would crash at the next signal.
    """
    with _ONE_AT_A_TIME:
        return _core()


@cache
def _core() -> Any:
    return imported().Core()
