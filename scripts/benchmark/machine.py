"""What a figure was measured on."""

import importlib.metadata
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

PACKAGES = ("torch", "monai", "nnunetv2", "openvino", "onnxruntime", "numpy")


def machine() -> str:
    """Date, processor, cores, memory, and the versions of what computes."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    cores = len(os.sched_getaffinity(0))
    gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    versions = ", ".join(filter(None, map(version, PACKAGES)))
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {cpu}, {cores} cores, {gib:.0f} GiB, "
        f"Python {platform.python_version()}, {versions}"
    )


def version(package: str) -> str | None:
    """A package with its version, if it is installed."""
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return None
