"""An interrupted training leaves what it has learnt."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.bundles import last_checkpoint
from tests.conftest import TINY


@pytest.mark.parametrize(
    ("num_workers", "interrupt"),
    [(0, os.kill), (1, os.killpg)],  # a terminal sends it to all processes
    ids=["alone", "with_a_worker"],
)
def test_interrupting_leaves_a_usable_checkpoint_and_says_where(
    cohort, tmp_path, unet_bundles, num_workers, interrupt
):
    run = tmp_path / "run"
    command = [sys.executable, "-m", "pipeline", "train", "unet3d", "--data", str(cohort)]
    settings = [*TINY[2:], "max_epochs=10000", "val_interval=10000", f"num_workers={num_workers}"]
    process = subprocess.Popen(
        [*command, "--output", str(run), "--set", *settings],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heed_interruptions,
    )
    with no_longer_than_the_test(process):
        wait_for_checkpoint(run)
        interrupt(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=300)
    said = re.sub(r"\s+", " ", err)
    assert process.returncode == 130
    assert str(run / "models/model.safetensors") in said
    assert f"--resume goes on from {last_checkpoint(run)}" in said
    assert "Traceback" not in err
    case = min(cohort.iterdir())
    status, _, _ = unet_bundles("segment", run, "--images", case, "--output", tmp_path / "out")
    assert status == 0


@contextmanager
def no_longer_than_the_test(process: "subprocess.Popen[str]") -> Iterator[None]:
    """Kill what a failure would leave behind."""
    try:
        yield
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def heed_interruptions() -> None:
    """Undo what shells do to processes in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def wait_for_checkpoint(run: Path) -> None:
    for _ in range(3000):
        if last_checkpoint(run) is not None:
            return
        time.sleep(0.1)
    raise AssertionError("no checkpoint ever came")
