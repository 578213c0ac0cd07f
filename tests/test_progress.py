"""What a person sees of a long run: a bar in a terminal, else plain lines."""

import re
from io import StringIO

import pytest
import torch
from ignite.engine import Engine, Events
from rich.console import Console

from pipeline.progress import over_cases
from pipeline.training import Progress
from tests.conftest import TINY


@pytest.fixture
def terminal(monkeypatch) -> StringIO:
    """What is drawn in a terminal."""
    monkeypatch.setenv("TERM", "xterm")
    drawn = StringIO()
    console = Console(file=drawn, width=100, force_terminal=True, color_system=None)
    for module in ("pipeline.progress", "pipeline.training.progress"):
        monkeypatch.setattr(f"{module}.console", console)
    return drawn


def trainer() -> tuple[Engine, Progress]:
    """An engine that takes its data for its losses, and who shows them."""
    engine = Engine(lambda _engine, loss: [{"loss": torch.tensor(loss)}])
    progress = Progress(Engine(lambda _engine, _batch: None), ["WT"])
    progress.attach(engine)
    return engine, progress


def test_a_training_is_told_by_a_line_an_epoch(unet_bundles, cohort, tmp_path):
    arguments = ("train", "unet3d", "--data", cohort, "--output", tmp_path / "run")
    _, _, err = unet_bundles(*arguments, "--set", *TINY)
    told = r"^epoch (\d)/2  loss \d\.\d{4}  left \d:\d\d:\d\d$"
    assert re.findall(told, err, re.MULTILINE) == ["1", "2"]
    assert re.search(r"^validation  mean Dice TC 0\.\d{3}  WT", err, re.MULTILINE)


def test_the_line_has_the_mean_loss_of_its_epoch(capsys):
    trainer()[0].run([1.0, 0.5], max_epochs=2)
    lines = capsys.readouterr().err.splitlines()
    told = [line.partition("  left ")[0] for line in lines]
    assert told == [f"epoch {epoch}/2  loss 0.7500" for epoch in (1, 2)]


def test_a_bar_shows_the_loss_and_the_time_left(terminal):
    engine, progress = trainer()
    engine.add_event_handler(
        Events.ITERATION_COMPLETED(once=2), lambda _engine: progress.bar.refresh()
    )
    engine.run([1.0, 0.5], max_epochs=2)
    assert re.search(r"epoch 1/2  loss 0\.5000 ━+[ ╸━]* \d:\d\d:\d\d", terminal.getvalue())
    assert re.search(r"epoch 2/2  loss 0\.5000 ━{40} 0:00:00", terminal.getvalue())
    assert "left" not in terminal.getvalue()


def test_a_segmentation_is_told_by_a_line_a_case(unet_bundles, run, cohort, tmp_path):
    _, _, err = unet_bundles("segment", run, "--images", cohort, "--output", tmp_path / "out")
    told = dict(re.findall(r"^segment (\S+) written \((\d)/3\)$", err, re.MULTILINE))
    assert sorted(told) == sorted(case.name for case in cohort.iterdir())
    assert sorted(told.values()) == ["1", "2", "3"]


def test_a_bar_shows_the_cases_and_the_time_left(terminal):
    with over_cases("segment", 2) as on_case:
        on_case("written", "a")
        on_case("failed", "b")
    assert re.search(r"segment ━{40} 2/2 0:00:00", terminal.getvalue())
    assert "written" not in terminal.getvalue()
