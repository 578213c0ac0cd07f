"""OpenVINO as this project uses it: silent, and loaded once for the life of the process."""

import sys
from functools import cache
from types import ModuleType
from typing import Any, cast


def imported() -> Any:
    """OpenVINO, kept from reporting its import over the internet."""
    sys.modules.setdefault("openvino_telemetry", cast("ModuleType", None))  # found missing by it
    import openvino

    return openvino


@cache
def core() -> Any:
    """The one core of this process.

    Its CPU plugin gives the main thread a stack for signals and takes it away when it ends; Python
    handles Ctrl-C on that stack, so the process would crash at the next signal.
    """
    return imported().Core()
