"""What this machine has to compute with, found without torch."""

import ctypes
import os
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def cores() -> int:
    """Cores that this process may use; OMP_NUM_THREADS, where it is set, is obeyed."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    usable = os.sched_getaffinity(0)
    return len({_siblings(number) for number in usable})


def threaded(threads: int) -> str:
    """What a CPU with so many threads goes by."""
    return f"cpu ({threads} thread{'s' * (threads > 1)})"


def cxx_compiler() -> str | None:
    """The C++ compiler that ``torch.compile`` would call."""
    names = (os.environ.get("CXX"), "g++", "clang++", "c++")
    return next((name for name in names if name and shutil.which(name)), None)


def has_gpu() -> bool:
    """Whether there is an NVIDIA GPU and a torch that can use it."""
    try:
        if "+cpu" in version("torch"):
            return False
        driver = ctypes.CDLL("libcuda.so.1")
    except (PackageNotFoundError, OSError):
        return False
    count = ctypes.c_int(0)
    ready = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    return ready and count.value > 0


def _siblings(number: int) -> str:
    """The threads of the core that thread ``number`` belongs to; its number where none tells."""
    file = Path(f"/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list")
    try:
        return file.read_text()
    except OSError:
        return str(number)
