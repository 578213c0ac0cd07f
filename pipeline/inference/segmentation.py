"""Bundles loaded once and called on cases."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.bundles import Bundle, find_bundle, no_weights
from pipeline.data.cases import Case, Cohort
from pipeline.data.cohorts import written_convention
from pipeline.data.slabs import opened
from pipeline.data.volumes import Volume
from pipeline.errors import UserError
from pipeline.inference.backends.backend import Backend
from pipeline.inference.backends.loading import Model, load
from pipeline.inference.codes import Rules, cleaned, coded, painted
from pipeline.inference.engine import blended
from pipeline.inference.ensembles import Mean
from pipeline.inference.memory import Limit, Room
from pipeline.inference.plan import WindowPlan, plan_windows
from pipeline.inference.planes import Planes
from pipeline.inference.preparing import Prepared, prepare
from pipeline.inference.restoring import activated, native_planes
from pipeline.recipe import Recipe
from pipeline.tasks import Task

BATCH_OF_SLICES = 16
"""Windows of 2D in one call of the network, if memory allows; of 3D it is one."""

BATCH_ON_A_CARD = 4
"""Windows of 3D in one call of the network on a GPU, if memory allows."""

READ_FOR_A_CARD = 4
"""Cases that are read while a GPU works on one, if memory allows; on a CPU it is one."""


@dataclass
class Done:
    """How a case went.

    Args:
        compile_s: seconds in which the network was made ready for the shape of the windows.
        network_s: seconds within the network.
        restore_s: seconds of everything else between the working image and the codes.
        plans: the windows, one plan a member.
    """

    compile_s: float = 0.0
    network_s: float = 0.0
    restore_s: float = 0.0
    plans: list[WindowPlan] = field(default_factory=list)


class Segmenter:
    """One bundle, or several whose probabilities are averaged, with all that a case goes through.

    Args:
        bundles: the folder of a run, the name of a bundle with weights, or several.
        weights: safetensors files, each a member of the ensemble, of the one bundle that is given;
            None takes the bundles' own.
        device: such as "cpu" or "cuda:0"; None takes the GPU if there is one.
        backend: that runs the network; "auto" takes the first that is installed and agrees with
            the network.
        threads: of the network on a CPU; None takes all cores.
        max_memory: GiB that all processes may take together; None takes what the machine has.
        mirror: axes of the volume (0 to 2) over which it is mirrored, alone and together, logits
            averaged; None takes the bundle's.

    Raises:
        UserError: weights are missing or of another network, the members segment different things,
            or the backend cannot be had.
    """

    def __init__(
        self,
        bundles: Bundle | str | Path | Sequence[Bundle | str | Path],
        weights: Path | Sequence[Path] | None = None,
        device: str | None = None,
        backend: str = "auto",
        threads: int | None = None,
        max_memory: float | None = None,
        mirror: Sequence[int] | None = None,
    ) -> None:
        self.limit = Limit.of(max_memory)
        self.bundles = [_bundle(one) for one in _listed(bundles)]
        pairs = _members(self.bundles, None if weights is None else _listed(weights))
        self.weights = [file for _, file in pairs]
        self.models = [load(bundle, file, backend, device, threads) for bundle, file in pairs]
        self.task = _common_task(self.models)
        windowings = [model.settings.windowing for model in self.models]
        if mirror is not None:
            windowings = [replace(one, mirror=tuple(mirror)) for one in windowings]
        self.mirror = [one.mirror for one in windowings]

    @property
    def recipes(self) -> list[Recipe]:
        """How a case is prepared, each way once."""
        recipes: list[Recipe] = []
        for model in self.models:
            if model.settings.recipe not in recipes:
                recipes.append(model.settings.recipe)
        return recipes

    @property
    def rules(self) -> Rules:
        """What is removed from predictions, as the first bundle says."""
        return self.models[0].settings.rules

    def __call__(self, case: Case, convention: str | None = None) -> Volume:
        """The label map (X, Y, Z) of ``case``, uint8, with the header of its first modality.

        Args:
            case: its files.
            convention: of the values; None takes the task's own.

        Raises:
            UserError: a file of the case cannot be used.
        """
        convention = written_convention(self.task, Cohort(Path(), None, ()), convention)
        with TemporaryDirectory() as folder:
            codes, _, header = self._codes(case, Path(folder), probabilities=False)
            self.release()
            array = cleaned(codes.read(0, codes.shape[0]), self.task, self.rules)
        return Volume(painted(array, self.task, convention).transpose(1, 2, 0), header)

    def probabilities(self, case: Case) -> NDArray[np.float32]:
        """Probabilities (out_channels, X, Y, Z) on the grid of the first modality, all at once.

        Raises:
            UserError: a file of the case cannot be used.
        """
        with TemporaryDirectory() as folder:
            _, kept, _ = self._codes(case, Path(folder), probabilities=True)
            self.release()
            return np.stack([one.read(0, one.shape[0]).transpose(1, 2, 0) for one in kept])

    def plans(self, prepared: Sequence[Prepared]) -> list[WindowPlan]:
        """The windows of each member over a case, prepared in each way of ``recipes``."""
        return [
            plan_windows(own.grid.shape, model.settings.windowing, own.occupied)
            for model, own in self._members(prepared)
        ]

    def rooms(self, prepared: Sequence[Prepared], at_once: bool = False) -> list[Room]:
        """What each member is given of the memory.

        Args:
            prepared: the case, prepared in each way of ``recipes``.
            at_once: whether its codes are held at once in the end, as ``rules`` need it anyway.

        Raises:
            UserError: one does not fit.
        """
        self.release()
        planned = zip(self._members(prepared), self.plans(prepared), strict=True)
        return [
            self.limit.room(
                model.backend,
                plan,
                own,
                self.task.out_channels,
                self._batch(model),
                1 if model.device == "cpu" else READ_FOR_A_CARD,
                at_once or self.rules != Rules(),
            )
            for (model, own), plan in planned
        ]

    def segment(
        self,
        prepared: Sequence[Prepared],
        codes: Planes,
        probabilities: Sequence[Planes] = (),
        at_once: bool = False,
    ) -> Done:
        """Write what is true of each voxel of a case; see ``pipeline.inference.codes``.

        Args:
            prepared: the case, prepared in each way of ``recipes``.
            codes: (Z, X, Y), of zeros.
            probabilities: one (Z, X, Y) of zeros for each region or class, or none.
            at_once: whether the codes are held at once afterwards.

        Raises:
            UserError: it does not fit into the memory that is allowed.
        """
        began, done = perf_counter(), Done(plans=self.plans(prepared))
        self.rooms(prepared, at_once)  # refuses before anything is computed
        with TemporaryDirectory(dir=codes.path.parent) as folder:
            mean = Mean(Path(folder) / "sum", len(self.models), codes.shape, self.task.out_channels)
            for member in range(len(self.models)):
                batch = self.rooms(prepared, at_once)[member].batch_size
                for z, plane in mean.over(self._planes(member, prepared, done, batch)):
                    codes.write(z, coded(plane, self.task)[None])
                    for file, channel in zip(probabilities, plane, strict=bool(probabilities)):
                        file.write(z, channel[None])
        done.restore_s = perf_counter() - began - done.compile_s - done.network_s
        return done

    def release(self) -> None:
        """Give back the memory that only calls of the networks need; the next takes it again."""
        for model in self.models:
            model.backend.release()

    def _planes(
        self, member: int, prepared: Sequence[Prepared], done: Done, batch_size: int
    ) -> Iterator[tuple[int, NDArray[Any]]]:
        """Native planes (out_channels, X, Y) of the probabilities of one member."""
        model, own = self._members(prepared)[member]
        finished = blended(
            own.image,
            done.plans[member],
            own.grid.slab_axis,
            _Timed(model.backend, done),
            self.task.out_channels,
            batch_size,
            self.mirror[member],
        )
        working = ((first, activated(logits, self.task)) for first, logits in finished)
        return native_planes(own.grid, working)

    def _members(self, prepared: Sequence[Prepared]) -> list[tuple[Model, Prepared]]:
        recipes = self.recipes
        return [(model, prepared[recipes.index(model.settings.recipe)]) for model in self.models]

    def _batch(self, model: Model) -> int:
        if model.settings.windowing.spatial_dims == 2:
            return BATCH_OF_SLICES
        return 1 if model.device == "cpu" else BATCH_ON_A_CARD

    def _codes(
        self, case: Case, folder: Path, probabilities: bool
    ) -> tuple[Planes, list[Planes], Any]:
        with opened(case, self.task, folder, self.limit.in_memory) as files:
            prepared = [
                prepare(files.channels, files.affine, recipe, folder / f"image{number}")
                for number, recipe in enumerate(self.recipes)
            ]
            header = files.header
        del files  # and the volumes, while the network runs
        x, y, z = prepared[0].grid.native_shape
        names = self.task.regions or self.task.classes if probabilities else ()
        codes = Planes(folder / "codes", (z, x, y), np.uint8)
        kept = [Planes(folder / f"probability{i}", (z, x, y)) for i in range(len(names))]
        self.segment(prepared, codes, kept, at_once=True)
        return codes, kept, header


class _Timed:
    """A network that adds the seconds within it to ``done``."""

    def __init__(self, network: Backend, done: Done) -> None:
        self.network = network
        self.done = done

    def __call__(self, images: NDArray[Any]) -> NDArray[Any]:
        began = perf_counter()
        self.network.ready(images.shape)
        compiled = perf_counter()
        logits = self.network(images)
        self.done.compile_s += compiled - began
        self.done.network_s += perf_counter() - compiled
        return logits


def _listed(given: Any) -> list[Any]:
    return [given] if isinstance(given, Bundle | str | Path) else list(given)


def _bundle(given: Bundle | str | Path) -> Bundle:
    return given if isinstance(given, Bundle) else find_bundle(str(given))


def _members(
    bundles: Sequence[Bundle], weights: Sequence[Path] | None
) -> list[tuple[Bundle, Path]]:
    if weights is None:
        for bundle in bundles:
            if not bundle.weights.is_file():
                raise UserError(no_weights(bundle))
        return [(bundle, bundle.weights) for bundle in bundles]
    if len(bundles) > 1:
        raise UserError("weights are given for one bundle: name one, or leave the weights out")
    return [(bundles[0], file) for file in weights]


def _common_task(models: Sequence[Model]) -> Task:
    task = models[0].settings.task
    for model in models:
        if model.settings.task != task:
            raise UserError(
                f"{models[0].settings.bundle} and {model.settings.bundle} segment different "
                "things: an ensemble needs one task"
            )
    return task
