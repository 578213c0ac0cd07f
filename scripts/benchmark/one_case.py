"""A network on one real case: ours and the peers in turn, and what follows from it."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmark.bundles import fit, made, network_of, recipe, whole, windows
from benchmark.cases import linked
from benchmark.contenders import Contender, backend, ours, peers
from benchmark.matrix import a_voxel, best_rate
from benchmark.rounds import Results, interleaved, last_words, once
from benchmark.tables import ratios, spread, table

from pipeline.bundles import Bundle
from pipeline.data.cases import Case

WINDOW = [128, 128, 128]
"""Voxels, of the peers that slide one."""

LABELS = ("--labels", "brats2018")
WARM = 3
"""Cases more than one, whose time is what a case costs once all is loaded."""


@dataclass
class Study:
    """A network and the cases that it is measured on.

    Args:
        name: of the network.
        cases: real ones with labels, the first being the one that is measured.
        data: their folder.
        work: folder of all that is made.
        only: parts of the names of the contenders that are wanted.
        rounds: of all contenders.
        device: "cpu" or "cuda".
    """

    name: str
    cases: Sequence[Case]
    data: Path
    work: Path
    only: Sequence[str]
    rounds: int
    device: str = "cpu"

    @cached_property
    def cropped(self) -> Bundle:
        """Our recipe: one window over the brain."""
        return self.bundle("cropped", recipe(0) | whole(self.name))

    @cached_property
    def uncropped(self) -> Bundle:
        """The very function of the zoo's recipe: one window over the volume."""
        return self.bundle("uncropped", recipe(None) | whole(self.name))

    @cached_property
    def sliding(self) -> Bundle:
        """Our recipe in the windows that the peers take."""
        return self.bundle("sliding", recipe(0) | windows(WINDOW))

    def bundle(self, variant: str, changes: dict[str, Any]) -> Bundle:
        """A bundle of the network with the weights that all variants share."""
        bundle = Bundle(self.work / variant)
        if bundle.weights.is_file():
            return bundle
        made(self.name, bundle.root, changes)
        shared = self.work / "model.safetensors"
        if not shared.is_file():
            fit(bundle, self.cases[0])
            shared.write_bytes(bundle.weights.read_bytes())
        bundle.weights.parent.mkdir(exist_ok=True)
        bundle.weights.write_bytes(shared.read_bytes())
        return bundle

    def cohort(self, cases: Sequence[Case]) -> Path:
        """A folder of links to ``cases``, which may be the same."""
        folder = self.work / f"cases_{len(cases)}_{len({case.name for case in cases})}"
        named = {f"{number:03}": case for number, case in enumerate(cases)}
        return folder if folder.is_dir() else linked(folder, named, self.cropped.task)

    @cached_property
    def one(self) -> Path:
        """The cohort of the one case that is measured."""
        return self.cohort(self.cases[:1])

    def contenders(self, mirror: bool = False) -> list[Contender]:
        """Those who are wanted, ours first, the networks of ours converted."""
        cropped = self.cropped.root
        found = [
            ours(CROPPED, cropped, *LABELS),
            ours("ours, the zoo's function", self.uncropped.root, *LABELS),
            ours(f"ours, windows of {WINDOW[0]}³", self.sliding.root, *LABELS),
            ours("ours, eager PyTorch", cropped, *LABELS, "--backend", "eager"),
            ours("ours, ONNX Runtime", cropped, *LABELS, "--backend", "onnxruntime"),
            ours("ours, INT8", cropped, *LABELS, "--backend", "openvino-int8"),
        ]
        if mirror:
            found.append(ours(MIRRORED, cropped, *LABELS, "--mirror", "0", "1", "2"))
        found += peers(cropped, WINDOW)
        wanted = [
            one.on(self.device) for one in found if any(text in one.name for text in self.only)
        ]
        if any("INT8" in one.name for one in wanted):
            self.quantise()
        left = [one for one in wanted if not one.ours or self.able(one)]
        return left or sys.exit("no contender is left: see --only")

    def quantise(self) -> None:
        """Make the INT8 network of our recipe, from the first cases, and say what came of it."""
        folder = self.work / "labelled"
        if not folder.is_dir():
            folder.mkdir()
            for case in self.cases[:2]:
                (folder / case.name).symlink_to(self.data.resolve() / case.name)
        command = [sys.executable, "-m", "pipeline", "quantise", self.cropped.root]
        command += ["--data", folder, "--json"]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        print(ended.stdout.strip() or ended.stderr.strip(), flush=True)

    def able(self, contender: Contender) -> bool:
        """Whether a first run, in which the network is converted, ends well."""
        cost, output = once(contender, self.one, self.work)
        if cost.status:
            print(f"{contender.name} is skipped: {last_words(self.work)}", flush=True)
            return False
        print(f"{contender.name} runs on {backend(output)}", flush=True)
        return True


CROPPED = "ours, cropped"
MIRRORED = "ours, mirrored over three axes"


def measure_once(study: Study, matrix: bool, mirror: bool) -> None:
    """Print what one case costs in a fresh process."""
    peak = None
    if matrix:
        rate = best_rate(study.device)
        need = a_voxel(network_of(study.cropped), study.cropped.task.in_channels)
        peak = rate / need
        print(f"matrix peak {2 * rate / 1e9:.1f} GFLOP/s, {need:.0f} multiply-adds a voxel")
    results = interleaved(study.contenders(mirror), study.one, study.work, study.rounds)
    zoo = next((name for name in results if name.startswith("zoo")), None)
    print(table(results, zoo, peak), flush=True)
    if MIRRORED in results and CROPPED in results:
        factors = ratios(results[MIRRORED].forward_s, results[CROPPED].forward_s)
        print(f"mirrored over three axes: {spread(factors, 2)} times the forward")


def measure_warm(study: Study) -> None:
    """Print what each case more costs within one process."""
    contenders = study.contenders()
    one = interleaved(contenders, study.one, study.work, study.rounds)
    count = min(WARM, len(study.cases) - 1)
    if count < 1:
        sys.exit("--warm needs two cases or more")
    several = study.cohort(study.cases[: 1 + count])
    more = interleaved(contenders, several, study.work, study.rounds)
    seconds = {name: _warm(one[name], more[name], count) for name in one if name in more}
    first = next(iter(seconds.values()))
    print("| a case more | s (min-max) | x ours (min-max) |\n|---|---|---|")
    for name, own in seconds.items():
        print(f"| {name} | {spread(own, 2)} | {spread(ratios(own, first), 2)} |", flush=True)


def measure_cohort(study: Study, count: int) -> None:
    """Print what ``count`` cases take, files to files, over what they should take.

    That is 1.1 times the forwards, and half the processor seconds of the processes that read and
    write; it is said of ours, whose processes are known.
    """
    count = min(count, len(study.cases))
    cases = study.cohort(study.cases[:count])
    contenders = study.contenders()
    found = interleaved(contenders, cases, study.work, study.rounds)
    print(table(found, None, None))
    for name in (one.name for one in contenders if one.ours and one.name in found):
        for cost, seconds in zip(found[name].costs, found[name].forward_s, strict=True):
            helpers = cost.helpers_cpu_s
            goal = 1.1 * seconds + helpers / 2
            print(
                f"{name}: {count} cases in {cost.wall_s:.1f} s, "
                f"{cost.wall_s / goal:.2f} of 1.1 x {seconds:.1f} s of forwards + "
                f"{helpers:.1f} / 2 CPU s of reading and writing, "
                f"{count / cost.wall_s:.2f} cases a second",
                flush=True,
            )


def _warm(one: Results, more: Results, count: int) -> list[float]:
    """Seconds of each case after the first, by round."""
    return [(many - few) / count for few, many in zip(one.walls, more.walls, strict=True)]
