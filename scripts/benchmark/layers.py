"""Where the seconds of a forward go: the layers of a bundle's converted network, by OpenVINO.

    python scripts/benchmark/layers.py BUNDLE 160 184 152    # voxels, multiples of the divisor

Prints seconds by kind of layer, then of each slow convolution with its GFLOP/s; medians of five.
"""

import sys
from collections import defaultdict
from math import prod
from statistics import median
from typing import Any

import numpy as np

from pipeline.bundles import find_bundle
from pipeline.inference.backends.entries import converted
from pipeline.inference.backends.machine import cores
from pipeline.inference.backends.openvino import FILE, options
from pipeline.openvino_core import core

REPEATED = 5
SLOW = 0.02
"""Of the whole, from which a convolution is named."""


def main() -> None:
    """Print both tables."""
    bundle, shape = find_bundle(sys.argv[1]), [int(size) for size in sys.argv[2:]]
    model = core().read_model(converted(bundle, bundle.weights, "openvino") / FILE)
    model.reshape([1, bundle.task.in_channels, *shape])
    operations = dict(counted(model))
    seconds = profiled(model)
    kinds: dict[str, float] = defaultdict(float)
    for (_, kind), spent in seconds.items():
        kinds[kind] += spent
    whole = sum(kinds.values())
    print(f"| layers of {bundle.name} | s | share % |\n|---|---|---|")
    for kind, spent in sorted(kinds.items(), key=lambda item: -item[1]):
        print(f"| {kind} | {spent:.3f} | {100 * spent / whole:.1f} |")
    print("\n| convolution | channels in, out | voxels | s | GFLOP/s |\n|---|---|---|---|---|")
    for (name, _), spent in sorted(seconds.items(), key=lambda item: -item[1]):
        if name in operations and spent > SLOW * whole:
            channels, voxels, flops = operations[name]
            print(f"| {name} | {channels} | {voxels} | {spent:.3f} | {flops / spent / 1e9:.0f} |")


def counted(model: Any) -> Any:
    """Of each convolution its name, and its channels, the shape of its output, its operations.

    Channels of zeros, which only fill registers, are not counted.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Convolution":
            given, output = node.input_value(1).get_node().data != 0, node.output(0).get_shape()
            out, into = (given.any(axis=(1 - axis, *range(2, given.ndim))).sum() for axis in (0, 1))
            kernel, voxels = prod(given.shape[2:]), "x".join(map(str, output[2:]))
            flops = 2 * out * into * kernel * prod(output[2:])
            yield node.get_friendly_name(), (f"{into}, {out}", voxels, flops)


def profiled(model: Any) -> dict[tuple[str, str], float]:
    """Seconds of each layer, by name and kind."""
    profiling = options(cores()) | {"PERF_COUNT": True}
    request = core().compile_model(model, "CPU", profiling).create_infer_request()
    shape = tuple(model.input(0).shape)
    image = np.random.default_rng(0).standard_normal(shape, np.float32)
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(REPEATED):
        request.infer({0: image})
        for layer in request.profiling_info:
            found[layer.node_name, layer.node_type].append(layer.real_time.total_seconds())
    return {layer: median(spent) for layer, spent in found.items()}


if __name__ == "__main__":
    main()
