import pytest
import torch

from pipeline.errors import UserError
from pipeline.networks import UNet3D
from pipeline.weights import starting_point, write_weights


def network(out_channels=3, seed=0, features=(4, 4, 8)):
    torch.manual_seed(seed)
    return UNet3D(3, 2, out_channels, features=features)


def test_weights_of_other_outputs_give_all_but_the_head(tmp_path, capsys):
    path = tmp_path / "old.safetensors"
    old = network(out_channels=3)
    write_weights(old, path)
    new = starting_point(network(out_channels=2, seed=1), str(path))
    anew = [
        name
        for name, tensor in new.state_dict().items()
        if tensor.shape != old.state_dict()[name].shape
    ]
    for name, tensor in new.state_dict().items():
        if name not in anew:
            assert torch.equal(tensor, old.state_dict()[name])
    assert anew == ["head.weight", "head.bias"]
    assert "start anew" in capsys.readouterr().err
    assert torch.equal(new.head.weight, network(out_channels=2, seed=1).head.weight)


def test_weights_that_all_fit_are_taken_in_silence(tmp_path, capsys):
    path = tmp_path / "old.safetensors"
    write_weights(network(), path)
    new = starting_point(network(seed=1), str(path))
    assert torch.equal(new.head.weight, network().head.weight)
    assert capsys.readouterr().err == ""


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "old.safetensors"
    write_weights(network(features=(6, 10, 12)), path)
    with pytest.raises(UserError, match="weights of another network"):
        starting_point(network(), str(path))
