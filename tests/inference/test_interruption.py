"""What Ctrl-C leaves of a segmentation."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.bundles import Bundle
from pipeline.inference.backends.entries import converted

CASES = 40
DEADLINE = 300  # seconds, for a machine that is busy
AT_ONCE = 20  # seconds, for a machine that is busy


@pytest.fixture(scope="module")
def many(cohort, tmp_path_factory) -> Path:
    """One phantom under many names."""
    root, case = tmp_path_factory.mktemp("many"), min(cohort.iterdir())
    for number in range(CASES):
        name = f"case{number:02}"
        for path in case.iterdir():
            (root / name).mkdir(exist_ok=True)
            shutil.copy(path, root / name / path.name.replace(case.name, name))
    return root


def processes(session) -> list[str]:
    """The command lines of a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(folder.name)) == session:
                found.append((folder / "cmdline").read_text())
        except OSError:  # it has just ended
            continue
    return [line for line in found if line]


def until(condition) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.01)


@pytest.mark.parametrize(
    "backend",
    [
        "eager",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("openvino", "onnxruntime")),
    ],
)
def test_ctrl_c_leaves_what_is_finished_whole_and_nothing_else(run, many, tmp_path, backend):
    if backend != "eager":
        pytest.importorskip(backend)
        converted(Bundle(run), Bundle(run).weights, backend)
    output = tmp_path / "out"
    command = [sys.executable, "-m", "pipeline", "segment", run, "--images", many]
    process = subprocess.Popen(
        [*command, "--output", output, "--backend", backend, "--threads", "1"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in background
        cwd=Path(__file__).parents[2],
    )
    try:
        until(lambda: len(list(output.glob("*.nii.gz"))) > 2)
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to all
        told = next(line for line in process.stderr if not line.startswith(("segment", str(CASES))))
        assert time.monotonic() - began < AT_ONCE  # what comes is Python that unloads torch
        assert told == "unet-bundles: interrupted\n"
        with process.stderr:
            assert process.stderr.read() == ""
        assert process.wait(DEADLINE) == 130
        until(lambda: not processes(process.pid))
    finally:
        if processes(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
    content = json.loads((output / "run.json").read_text())
    assert content["ended"] is None
    assert {entry["outcome"] for entry in content["cases"].values()} == {"written"}
    files = {f"{name}.nii.gz" for name in content["cases"]}
    assert {path.name for path in output.iterdir()} == files | {"run.json"}
    assert 2 < len(files) < CASES
    assert len({gzip.decompress((output / file).read_bytes()) for file in files}) == 1
