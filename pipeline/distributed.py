"""Processes that train together, their device, and how a process keeps its memory."""

import ctypes
import os
import sys
import time
from typing import Any

import ignite.distributed as idist
import torch
from monai.utils import set_determinism
from torch import nn
from torch.nn.parallel import DistributedDataParallel

_UNTIL_GLOO_IS_IDLE = 1.0  # seconds
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def start(seed: int = 0) -> None:
    """Join the other processes of ``torchrun``, if there are any, and seed this one.

    Each rank draws its own dropout; weights start as those of rank 0. MLflow, if it was imported,
    stops reporting its use.
    """
    keep_freed_memory()
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    if "mlflow.telemetry" in sys.modules:
        sys.modules["mlflow.telemetry"].set_telemetry_client()
    if "TORCHELASTIC_RUN_ID" in os.environ and not torch.distributed.is_initialized():
        os.environ.pop("SLURM_JOB_ID", None)  # ignite would take the tasks of srun for the ranks
        idist.initialize("nccl" if torch.cuda.is_available() else "gloo")
    set_determinism(seed + rank())


def stop() -> None:
    """Leave the other processes, once all have come here.

    A thread of gloo lets go of the last tensors a moment after they are used, and takes the
    interpreter's lock for it; one that comes after the interpreter's end aborts the process.
    """
    if torch.distributed.is_initialized():
        idist.barrier()
        time.sleep(_UNTIL_GLOO_IS_IDLE)
        idist.finalize()


def rank() -> int:
    """Number of this process among those that train together, from 0."""
    return idist.get_rank()


def world_size() -> int:
    """How many processes train together."""
    return idist.get_world_size()


def gathered(value: Any) -> list[Any]:
    """What each process gave for ``value``, by rank."""
    values = [value] * world_size()
    if world_size() > 1:
        torch.distributed.all_gather_object(values, value)
    return values


def share_buffers(network: nn.Module) -> None:
    """Give every process the buffers of rank 0, such as the running statistics of batch norm."""
    if world_size() > 1:
        for buffer in network.buffers():
            buffer.copy_(idist.broadcast(buffer, src=0))


def parallel(network: nn.Module, find_unused_parameters: bool) -> nn.Module:
    """``network``, its gradients averaged over all processes if there are several.

    Args:
        network: on its device.
        find_unused_parameters: whether a step may leave parameters without a gradient.
    """
    if world_size() == 1:
        return network
    return DistributedDataParallel(network, find_unused_parameters=find_unused_parameters)


def device(name: str | None = None) -> torch.device:
    """The device called ``name``; without a name this process's GPU, or the CPU.

    A GPU that is named becomes the current one, whose random state a checkpoint holds.
    """
    if name is None:
        return idist.device()
    named = torch.device(name)
    if named.type == "cuda" and named.index is not None:
        torch.cuda.set_device(named)
    return named


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
