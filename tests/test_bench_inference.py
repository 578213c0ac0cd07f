"""The benchmark of segmentation: what it measures, and that all contenders compute the same."""

import json
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from pipeline.bundles import find_bundle
from pipeline.data.cohorts import find_cohort
from tests.conftest import ROOT

BUSY_CHILD = """
import os, time
if os.fork():
    os.wait()
else:
    held = bytes(range(256)) * 2**20
    while time.process_time() < 0.5:
        pass
    time.sleep(5)  # the watch may be late
"""
"""A process whose child holds 256 MiB and computes for half a second."""

MEASURED = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from benchmark.processes import measured
cost = measured([sys.executable, "-c", sys.argv[1]], Path(sys.argv[2]), None, float(sys.argv[3]))
print(json.dumps(asdict(cost)))
"""


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")

    def module(name: str) -> ModuleType:
        return import_module(f"benchmark.{name}")

    return module


def measured(tmp_path, limit_bytes: float) -> dict[str, Any]:
    ended = subprocess.run(
        [sys.executable, "-c", MEASURED, BUSY_CHILD, tmp_path / "log.txt", str(limit_bytes)],
        env={"PYTHONPATH": str(ROOT / "scripts")},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ended.stdout)


def test_what_a_child_takes_counts(tmp_path):
    cost = measured(tmp_path, 2**30)
    assert cost["status"] == 0
    assert cost["stopped"] is None
    assert 256 < cost["peak_bytes"] / 2**20 < 320
    assert cost["helpers_cpu_s"] > 0.4
    assert cost["cpu_s"] >= cost["helpers_cpu_s"]


def test_a_tree_over_its_limit_of_memory_is_stopped(tmp_path):
    cost = measured(tmp_path, 2**27)
    assert cost["stopped"] == "memory"
    assert cost["status"] < 0


def test_labels_agree_where_they_are_equal(benchmark):
    labels, others = np.array([0, 0, 1, 2], np.uint8), np.array([0, 0, 1, 4], np.uint8)
    assert benchmark("tables").agreement(labels, others) == (75.0, 50.0)


def test_ratios_are_taken_round_by_round(benchmark):
    tables = benchmark("tables")
    walls = tables.ratios([8.0, 30.0, 12.0], [2.0, 5.0, 4.0])
    assert tables.spread(walls, 2) == "4.00 (3.00-6.00)"


def test_a_table_has_a_row_for_each_contender(benchmark):
    rounds, processes, contenders = map(benchmark, ("rounds", "processes", "contenders"))
    costs = [processes.Cost(wall, 6.0, 1.0, 2 * 10**9, 0) for wall in (2.0, 4.0)]
    own = rounds.Results(costs, [contenders.Forward(1.0, 50)] * 2, np.ones(4, np.uint8))
    text = benchmark("tables").table({"ours": own, "zoo": own}, "zoo", peak=100.0)
    _, _, first, second = text.splitlines()
    assert first.split(" | ")[1:3] == ["3.0 (2.0-4.0)", "1.00 (1.00-1.00)"]
    assert second.startswith("| zoo | 3.0 (2.0-4.0) | ")
    assert second.endswith("| 50 | 100.000 (100.00) |")


def test_a_synthetic_volume_has_the_size_asked_for_and_no_zeros(benchmark, tmp_path):
    folder = benchmark("cases").synthetic(tmp_path / "cases", (70, 33, 130))
    array = np.asarray(nib.load(folder / "volume" / "MRI.nii.gz").dataobj)
    assert array.shape == (70, 33, 130)
    assert array.min() > 0
    assert np.array_equal(array[:64, :, :64], array[:64, :, 64:128])


@pytest.mark.slow
@pytest.mark.skipif(find_spec("nnunetv2") is None, reason="no nnunetv2")
def test_every_contender_gives_the_labels_of_the_zoo_recipe(benchmark, cohort, tmp_path):
    bundles, cases, contenders, rounds = map(
        benchmark, ("bundles", "cases", "contenders", "rounds")
    )
    network = find_bundle("unet3d").config("inference")["network_def"] | {"features": [8, 8, 8]}
    changes = bundles.recipe(None) | bundles.whole("unet3d") | {"network_def": network}
    changes["recipe"]["spacing"] = None
    bundle = bundles.made("unet3d", tmp_path / "bundle", changes)
    case = find_cohort(cohort, bundle.task).cases[0]
    bundles.fit(bundle, case, "brats2023")
    folder = cases.linked(tmp_path / "cases", {"one": case}, bundle.task)
    options = ("--labels", "brats2018", "--backend", "eager")
    found = [
        contenders.stock("zoo", bundle.root, [48, 48, 32]),
        contenders.ours("ours", bundle.root, *options),
        contenders.nnunet("nnU-Net", bundle.root, [48, 48, 32]),
    ]
    labels = {
        name: own.labels for name, own in rounds.interleaved(found, folder, tmp_path, 1).items()
    }
    assert labels["zoo"].any()
    assert np.array_equal(labels["ours"], labels["zoo"])
    assert labels["nnU-Net"].shape == labels["zoo"].shape
    assert np.mean(labels["nnU-Net"] == labels["zoo"]) > 0.9
