"""The page on the networks says what the code does."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from torch import nn

from pipeline import networks

SCRIPT = Path(__file__).parent.parent / "scripts" / "network_table.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("network_table", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_network_has_a_row(script):
    exported = {
        kind
        for kind in vars(networks).values()
        if isinstance(kind, type) and issubclass(kind, nn.Module)
    }
    assert {row.kind for row in script.ROWS} == exported


def test_the_page_states_what_the_code_gives(script):
    stated = script.page()
    for cells in stated:
        cells[script.MEMORY] = ["", ""]
    assert stated == [script.computed(row) for row in script.ROWS], (
        "docs/networks.md is out of date: run python scripts/network_table.py"
    )


def test_memory_is_stated_for_every_network(script):
    for cells in script.page():
        training, inference = (float(cell.replace(",", "")) for cell in cells[script.MEMORY])
        assert training > inference > 0


def test_multiply_adds_are_those_of_a_hand_count(script):
    """A convolution of 4 to 3 channels, 3 voxels wide, at 256x256 pixels."""

    class OneConvolution(nn.Conv2d):
        def __init__(self, _spatial_dims: int, in_channels: int, out_channels: int) -> None:
            super().__init__(in_channels, out_channels, 3, padding=1)

    row = script.Row(OneConvolution, 2, "", "")
    assert script.costs(row) == (4 * 3 * 9 + 3, 4 * 3 * 9 * 256 * 256)
