"""An interrupted training leaves what it has learnt."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import TINY


def test_interrupting_leaves_a_usable_checkpoint_and_says_where(cohort, tmp_path, unet_bundles):
    run = tmp_path / "run"
    command = [sys.executable, "-m", "pipeline", "train", "unet3d", "--data", str(cohort)]
    settings = [*TINY[2:], "max_epochs=10000", "val_interval=10000"]
    process = subprocess.Popen(
        [*command, "--output", str(run), "--set", *settings], stderr=subprocess.PIPE, text=True
    )
    wait_for(run / "checkpoints/last.json")
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    last = run / "checkpoints/last.safetensors"
    assert process.returncode == 130
    assert str(last) in re.sub(r"\s+", " ", err)
    assert "Traceback" not in err
    case = min(cohort.iterdir())
    status, _, _ = unet_bundles("segment", run, "--images", case, "--output", tmp_path / "out")
    assert status == 0


def wait_for(path: Path) -> None:
    for _ in range(1200):
        if path.exists():
            return
        time.sleep(0.1)
    raise AssertionError(f"{path} never came")
