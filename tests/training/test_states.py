import json

import numpy as np
import pytest
import torch

from pipeline.distributed import device
from pipeline.training.states import packed, randomness, restore_randomness, unpacked


def test_a_state_comes_back_through_tensors_and_json():
    weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer = torch.optim.AdamW([weight], lr=0.1)
    weight.grad = torch.tensor([0.5, -0.5])
    optimizer.step()
    state = optimizer.state_dict()
    tensors = {}
    text = json.dumps(packed(state, tensors))
    found = unpacked(json.loads(text), tensors)
    assert found["param_groups"][0]["lr"] == 0.1
    assert found["param_groups"][0]["betas"] == [0.9, 0.999]
    assert set(found["state"]) == {0}
    for name, value in state["state"][0].items():
        assert torch.equal(found["state"][0][name], value)


def test_the_random_states_come_back():
    tensors = {}
    text = json.dumps(packed(randomness(), tensors))
    expected = torch.rand(3), np.random.rand(3)  # noqa: NPY002
    torch.rand(5)
    restore_randomness(unpacked(json.loads(text), tensors))
    assert torch.equal(torch.rand(3), expected[0])
    assert np.array_equal(np.random.rand(3), expected[1])  # noqa: NPY002


@pytest.mark.parametrize(("name", "current"), [("cuda:1", [1]), ("cuda", []), ("cpu", [])])
def test_a_gpu_that_is_named_becomes_the_current_one(monkeypatch, name, current):
    chosen = []
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: chosen.append(device.index))
    assert device(name) == torch.device(name)
    assert chosen == current
