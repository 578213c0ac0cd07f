"""What this machine has to compute with; found without torch where there is no GPU."""

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
    except PackageNotFoundError:
        return False
    driver, count = _driver(), ctypes.c_int(0)
    if driver is None or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return False
    import torch

    return torch.cuda.is_available()


def card_of(device: str) -> str:
    """The name of the card ``device``, such as "cuda:0", and the version of its driver."""
    kind, _, number = device.partition(":")
    driver = _driver() if kind == "cuda" else None
    if driver is None:
        return kind
    handle, of_driver, name = ctypes.c_int(0), ctypes.c_int(0), ctypes.create_string_buffer(256)
    driver.cuDeviceGet(ctypes.byref(handle), int(number or 0))
    driver.cuDeviceGetName(name, len(name), handle)
    driver.cuDriverGetVersion(ctypes.byref(of_driver))
    return f"{kind} {name.value.decode()} {of_driver.value}"


def _driver() -> ctypes.CDLL | None:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    return driver if driver.cuInit(0) == 0 else None


def _siblings(number: int) -> str:
    """The threads of the core that thread ``number`` belongs to; its number where none tells."""
    file = Path(f"/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list")
    try:
        return file.read_text()
    except OSError:
        return str(number)
