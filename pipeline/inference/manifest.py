"""What a run of ``segment`` says of itself, case by case: ``run.json`` beside the predictions."""

import hashlib
import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from pipeline.bundles import RECORD
from pipeline.data.cases import Case
from pipeline.data.findings import shown
from pipeline.data.slices import is_dicom
from pipeline.data.volumes import is_volume
from pipeline.files import write_json
from pipeline.inference.backends.cache import package_version
from pipeline.inference.predictions import recorded
from pipeline.runs import environment

if TYPE_CHECKING:
    from pipeline.inference.plan import WindowPlan
    from pipeline.inference.segmentation import Segmenter

STEPS = ("load", "compile", "network", "restore", "write")
"""What a case goes through; their seconds are measured."""

QUICK_S = 0.05
"""Writing that takes no longer is done after each case."""

_PACKAGES = {
    "openvino": ("openvino",),
    "openvino-int8": ("openvino",),
    "onnxruntime": ("onnxruntime",),
}
"""What results depend on besides the packages of training, by backend."""


@dataclass
class Entry:
    """What became of a case.

    Args:
        outcome: "written" or "failed".
        input_sha256: of each modality's file.
        times_s: seconds of each of ``STEPS`` that was begun.
        windows: of each member of the ensemble, what its network was given.
        volumes_ml: of each target of the prediction; none of a 2D image, which has no millimetres.
        findings: code (None where no check names it) and sentence, without folders.
    """

    outcome: str = "failed"
    input_sha256: dict[str, str] = field(default_factory=dict)
    times_s: dict[str, float] = field(default_factory=dict)
    windows: list[dict[str, Any]] = field(default_factory=list)
    volumes_ml: dict[str, float] = field(default_factory=dict)
    findings: list[dict[str, Any]] = field(default_factory=list)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Measure what is done within."""
        start = perf_counter()
        try:
            yield
        finally:
            self.spent(step, perf_counter() - start)

    def spent(self, step: str, seconds: float) -> None:
        """Add what one of ``STEPS`` took."""
        self.times_s[step] = round(self.times_s.get(step, 0.0) + seconds, 3)

    def finding(self, code: str | None, sentence: str) -> "Entry":
        """This entry with one more finding."""
        self.findings.append({"code": code, "sentence": sentence})
        return self


class Manifest:
    """The file ``run.json``, written anew after each case, whole or not at all.

    Of thousands of cases it is written less often, so that this takes a twentieth of the time.

    It goes on with the one that is there: cases that are left keep what is said of them, and the
    runs that made them stand under "earlier".

    Args:
        output_dir: the folder of the predictions.
        segmenter: that makes them.
        convention: of the values in their files.
        options: that were given.

    Raises:
        UserError: the folder cannot be written, or holds predictions of another kind.
    """

    def __init__(
        self, output_dir: Path, segmenter: "Segmenter", convention: str, options: Mapping[str, Any]
    ) -> None:
        before = recorded(output_dir, segmenter.task, convention)
        self.path = output_dir / RECORD
        self.record = {key: before.pop(key) for key in ("task", "labels")}
        self.cases: dict[str, dict[str, Any]] = before.pop("cases", {})
        self.earlier: list[dict[str, Any]] = before.pop("earlier", [])
        if "started" in before:
            self.earlier.append(before)
        self.run = described(segmenter, options)
        self.due_s = 0.0
        self.write()

    def leave(self, name: str) -> None:
        """A case whose prediction was there keeps its entry, or gets one that says only this."""
        self.cases[name] = self._made(name) or {"outcome": "left"}

    def add(self, name: str, entry: Entry) -> None:
        """Record what became of a case; one that failed keeps what made the prediction before."""
        before = self._made(name)
        self.cases[name] = {"run": self.run["started"]} | asdict(entry)
        if entry.outcome == "failed" and before is not None:
            self.cases[name]["before"] = before
        for step, seconds in entry.times_s.items():
            self.run["times_s"][step] = round(self.run["times_s"][step] + seconds, 3)
        self.is_behind = True
        if perf_counter() >= self.due_s:
            self.write()

    def _made(self, name: str) -> dict[str, Any] | None:
        """What is recorded of the prediction that lies there."""
        entry = self.cases.get(name, {})
        made: dict[str, Any] | None = entry if entry.get("outcome") == "written" else None
        return made or entry.get("before")

    def end(self) -> None:
        """Record that every case had its turn."""
        self.run["ended"] = _now()
        self.write()

    def close(self) -> None:
        """Write what was recorded since the file was written last."""
        if self.is_behind:
            self.write()

    def write(self) -> None:
        """Write the file; an earlier run of which no case is left is forgotten."""
        began = perf_counter()
        made = [case.get("before", case) for case in self.cases.values()]
        makers = {case.get("run") for case in (*self.cases.values(), *made)}
        earlier = [run for run in self.earlier if run["started"] in makers]
        write_json(self.path, self.record | self.run | {"cases": self.cases, "earlier": earlier})
        self.is_behind = False
        took_s = perf_counter() - began
        self.due_s = perf_counter() + 20 * took_s if took_s > QUICK_S else 0.0


def described(segmenter: "Segmenter", options: Mapping[str, Any]) -> dict[str, Any]:
    """What a run that begins now is made with; neither host, user nor folder is named."""
    first, *others = (member(segmenter, index) for index in range(len(segmenter.models)))
    packages = {
        package: package_version(package)
        for model in segmenter.models
        for package in _PACKAGES.get(model.backend.name, ())
    }
    return {
        "started": _now(),
        "ended": None,
        "versions": environment() | dict(sorted(packages.items())),
        "platform": f"{platform.system()} {platform.machine()}",
        "device": segmenter.models[0].device_name,
        **first,
        "parameters": first["parameters"] | {"options": dict(options)},
        "ensemble": others,
        "times_s": dict.fromkeys(STEPS, 0.0),
    }


def member(segmenter: "Segmenter", index: int) -> dict[str, Any]:
    """What decides the probabilities of one member of the ensemble."""
    model, weights = segmenter.models[index], segmenter.weights[index]
    settings = model.settings
    how = asdict(settings.windowing) | {"mirror": segmenter.mirror[index]}
    patch_size = how.pop("patch_size")
    return {
        "bundle": settings.bundle,
        "backend": model.backend.name,
        "weights": {"file": weights.name, "sha256": model.weights_sha256},
        "parameters": {
            "spatial_dims": how.pop("spatial_dims"),
            "spacing": settings.recipe.spacing,
            "patch_size": "whole" if patch_size is None else patch_size,
            "recipe": asdict(settings.recipe),
            "inferer": how,
            "postprocessing": asdict(settings.rules),
        },
    }


def windows(plan: "WindowPlan") -> dict[str, Any]:
    """A plan in numbers: of windows, and of voxels."""
    return {
        "count": len(plan.starts),
        "skipped": plan.skipped,
        "size": plan.size,
        "volume": plan.shape,
        "computed_over_needed": round(plan.computed_over_needed, 3),
    }


def input_hashes(case: Case, modalities: Iterable[str]) -> dict[str, str]:
    """SHA-256 of each modality's file, of those that can be read.

    Of a DICOM series it is that of its slices one after the other, in the order of their names, and
    of a pair ``.hdr`` and ``.img`` likewise.
    """
    known: dict[Path, str] = {}
    for path, _ in case.images:
        try:
            known[path] = known.get(path) or sha256(_files(path))
        except Exception:  # what is wrong with the file is told when it is loaded
            continue
    named = zip(modalities, case.images, strict=True)
    return {modality: known[path] for modality, (path, _) in named if path in known}


def sha256(files: Iterable[Path]) -> str:
    """The hash in hexadecimal digits of ``files``, one after the other, read in blocks."""
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(2**20):
                total.update(block)
    return total.hexdigest()


def without_folders(text: str, folders: Iterable[Path] = ()) -> str:
    """``text`` in which a path is the name of what it leads to.

    Args:
        text: any.
        folders: that may stand in it; only these are recognised if there is a space in their names.

    Examples:
        >>> without_folders("/data/cases/ann/t1.nii is empty: copy it again")
        't1.nii is empty: copy it again'
        >>> without_folders("no t1 under /data/my cases", [Path("/data/my cases")])
        'no t1 under my cases'
    """
    for folder in sorted(set(folders), key=lambda folder: len(str(folder)), reverse=True):
        for written in {str(folder), shown(folder)} if folder.name else ():
            whole = rf"(?<![\w./-]){re.escape(written)}"
            text = re.sub(f"{whole}/", "", text)
            text = re.sub(rf"{whole}(?![\w-])", folder.name.replace("\\", r"\\"), text)
    return re.sub(r"""(?<![\w.:/~-])/(?:[^\s/:,;'"()]+/)*(?=[^\s/])""", "", text)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _files(path: Path) -> list[Path]:
    if not is_volume(path) and is_dicom(path):
        from pipeline.data.dicom import series_of

        return sorted(one.path for one in series_of(path).slices)
    pair = path.with_name(path.name.replace(".hdr", ".img"))
    return [path] if pair == path or not pair.is_file() else [path, pair]
