"""What a training leaves that was never validated."""

from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine
from safetensors.torch import load_file
from torch import nn

from pipeline.bundles import WEIGHTS
from pipeline.training import Checkpoints
from pipeline.weights import write_weights


def trainer(network, folder, step, resume=False):
    """An engine whose checkpoints lie in ``folder``; its evaluator never ran."""
    engine = Engine(step)
    engine.scaler = None
    evaluator = SimpleNamespace(state=SimpleNamespace(best_metric=-1, best_metric_epoch=-1))
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    checkpoints = Checkpoints(network, optimizer, None, [], evaluator, str(folder), resume=resume)
    checkpoints.attach(engine)
    return engine


def test_the_last_weights_replace_those_of_an_interruption(tmp_path):
    network = nn.Linear(1, 1)
    write_weights(network, tmp_path / WEIGHTS)

    def step(engine, _batch):
        with torch.no_grad():
            network.weight.fill_(engine.state.iteration)

    trainer(network, tmp_path, step).run([0, 0], max_epochs=2)
    assert load_file(tmp_path / WEIGHTS)["weight"].item() == 4


def test_an_interruption_before_the_first_checkpoint_leaves_nothing(tmp_path, capsys):
    for name in (WEIGHTS, "models/model.pt"):  # of a validation before that checkpoint
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    def step(_engine, _batch):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit):
        trainer(nn.Linear(1, 1), tmp_path, step).run([0, 0])
    assert "nothing is kept: start anew" in " ".join(capsys.readouterr().err.split())
    assert list((tmp_path / "models").iterdir()) == []


def test_an_interruption_while_a_checkpoint_is_read_leaves_the_best_weights(tmp_path, monkeypatch):
    network = nn.Linear(1, 1)
    trainer(network, tmp_path, lambda *_: None).run([0])
    best = load_file(tmp_path / WEIGHTS)["weight"]

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.training.checkpoints.load_file", interrupted)
    nn.init.constant_(network.weight, 7)
    with pytest.raises(SystemExit):
        trainer(network, tmp_path, lambda *_: None, resume=True).run([0])
    assert load_file(tmp_path / WEIGHTS)["weight"] == best
