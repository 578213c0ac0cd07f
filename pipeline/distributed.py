"""Which device, and how this process keeps its memory."""

import ctypes

import ignite.distributed as idist
import torch

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def device(name: str | None = None) -> torch.device:
    """The device called ``name``; without a name this process's GPU, or the CPU."""
    if name is not None:
        return torch.device(name)
    return idist.device()


def keep_freed_memory() -> None:
    """Let glibc keep freed memory, so that each convolution does not fault its pages in anew.

    Costs a higher peak. Where the C library is another, nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, TypeError):
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_M_TOP_PAD, 2**28)
