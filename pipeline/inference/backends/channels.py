"""Channels in eights for OpenVINO, which on AVX2 computes eight channels of a convolution at once.

A convolution to 30 channels takes longer than one to 32. Filters of zeros fill the last eight up;
whatever takes the image next has zeros for them, or does not mix channels.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.openvino_core import imported

AT_ONCE = 8
"""Channels that a convolution computes at once."""

MOST_ZEROS = 1 / 8
"""Of a convolution's own channels, as many may be added at most."""

_BY_CHANNEL = ("Add", "Interpolate", "MVN", "MaxPool", "Multiply", "PRelu", "Relu")


@dataclass(frozen=True)
class _Filled:
    """Where the channels of the network lie among ``count``, of which the others say nothing."""

    places: NDArray[np.intp]
    count: int

    def fill(self, values: NDArray[Any], axis: int) -> NDArray[Any]:
        """``values`` of the network's channels along ``axis``, with zeros for the others."""
        filled = np.zeros([*values.shape[:axis], self.count, *values.shape[axis + 1 :]], "f")
        filled[(slice(None),) * axis + (self.places,)] = values
        return filled


def fill_channels(model: Any) -> None:
    """Fill the convolutions of an OpenVINO ``model`` up to channels in eights.

    Left alone are those whose channels something sees that mixes them otherwise than by filters.
    """
    passes = import_module("openvino.passes")
    manager = passes.Manager()
    manager.register_pass(passes.ConstantFolding())
    manager.run_passes(model)
    nodes = model.get_ordered_ops()
    unseen = _unseen(nodes)
    filled: dict[str, _Filled] = {}
    for node in nodes:
        kind, name = node.get_type_name(), node.get_name()
        given = [filled.get(value.get_node().get_name()) for value in node.input_values()]
        if kind == "Convolution" and _constant(node, 1):
            if given[0] is not None:
                _fill_constant(node, given[0], 1)
            own = _in_eights(node)
            if own is not None and name in unseen:
                filled[name] = own
                _fill_constant(node, own, 0)
        elif kind == "Concat" and any(given):
            filled[name] = _joined(node, given)
        elif given and given[0] is not None:
            filled[name] = given[0]
            _fill_operand(node, given[0])
    model.validate_nodes_and_infer_types()


def _unseen(nodes: list[Any]) -> set[str]:
    """Names of the nodes of whose channels only filters and what works by channel see anything."""
    unseen: set[str] = set()
    for node in reversed(nodes):
        takers = [taken for output in node.outputs() for taken in output.get_target_inputs()]
        if takers and all(_takes_filled(taken, unseen) for taken in takers):
            unseen.add(node.get_name())
    return unseen


def _takes_filled(taken: Any, unseen: set[str]) -> bool:
    """Whether the node that has ``taken`` for an input can do with more channels there."""
    node, first = taken.get_node(), taken.get_index() == 0
    kind, shape = node.get_type_name(), node.get_output_partial_shape(0)
    if kind == "Convolution":
        return first and _constant(node, 1)
    if node.get_name() not in unseen or shape.rank.is_dynamic:
        return False
    rank = shape.rank.get_length()
    if kind == "Concat":
        return node.get_attributes()["axis"] % rank == 1 and shape[1].is_static
    if kind not in _BY_CHANNEL or not first:
        return False
    if not all(_constant(node, index) for index in range(1, node.get_input_size())):
        return False
    if kind == "MVN":
        return 1 not in node.input_value(1).get_node().data % rank
    if kind == "Interpolate":
        scaled = node.get_attributes()["shape_calculation_mode"] == "scales"
        every = node.get_input_size() == 2
        return scaled and every and node.input_value(1).get_node().data[1] == 1
    return True


def _constant(node: Any, index: int) -> bool:
    return bool(node.input_value(index).get_node().get_type_name() == "Constant")


def _in_eights(node: Any) -> _Filled | None:
    """The channels of a convolution when filled; None if they are in eights, or too few."""
    channels = node.input_value(1).get_shape()[0]
    count = -(-channels // AT_ONCE) * AT_ONCE
    if not 0 < count - channels <= MOST_ZEROS * channels:
        return None
    return _Filled(np.arange(channels), count)


def _joined(node: Any, given: Iterable[_Filled | None]) -> _Filled:
    """The channels of a concatenation whose inputs are filled, or (None) are not."""
    places, count = [], 0
    for value, one in zip(node.input_values(), given, strict=True):
        if one is None:
            channels = int(value.get_partial_shape()[1].get_length())
            one = _Filled(np.arange(channels), channels)
        places.append(one.places + count)
        count += one.count
    return _Filled(np.concatenate(places), count)


def _fill_operand(node: Any, filled: _Filled) -> None:
    """Fill the constant of a node that has a value for each channel, if it has one."""
    if node.get_type_name() not in ("Add", "Multiply", "PRelu"):
        return
    shape, rank = node.input_value(1).get_shape(), node.get_output_partial_shape(0).rank
    one_axis = node.get_type_name() == "PRelu" and len(shape) == 1
    axis = 0 if one_axis else len(shape) + 1 - rank.get_length()
    if axis >= 0 and shape[axis] > 1:
        _fill_constant(node, filled, axis)


def _fill_constant(node: Any, filled: _Filled, axis: int) -> None:
    values = filled.fill(node.input_value(1).get_node().data, axis)
    node.input(1).replace_source_output(imported().opset13.constant(values).output(0))
