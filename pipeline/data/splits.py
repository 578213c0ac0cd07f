"""Which cases train and which validate."""

import json
import random
from collections.abc import Collection, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.data.cases import Cohort
from pipeline.errors import UserError, nearest
from pipeline.files import write_json
from pipeline.progress import console

_BOTH = (
    "list one at least, since the weights that are kept are trained on some cases and chosen on "
    "others"
)


@dataclass(frozen=True)
class Split:
    """Names of cases for training and for validation, without overlap."""

    train: tuple[str, ...]
    validation: tuple[str, ...]

    @classmethod
    def drawn(
        cls,
        names: Sequence[str],
        validation_fraction: float,
        seed: int,
        trained: Collection[str] = (),
    ) -> "Split":
        """A random split; at least one case each if there are two or more.

        Args:
            names: of cases, or of subjects that have several.
            validation_fraction: of the names.
            seed: decides all randomness.
            trained: names that train, whatever is drawn, unless that are all.

        Raises:
            UserError: fewer than two names.
        """
        if len(names) < 2:
            raise UserError(
                f"labelled cases of {len(names)} subject cannot be split: give two subjects or "
                "more, or --split FILE"
            )
        known = {*trained} & {*names}
        if len(known) == len(names):
            known = set()
        shuffled = sorted({*names} - known)
        random.Random(seed).shuffle(shuffled)
        most = len(shuffled) if known else len(shuffled) - 1
        count = min(max(round(len(names) * validation_fraction), 1), most)
        return cls(tuple(sorted([*known, *shuffled[count:]])), tuple(sorted(shuffled[:count])))

    @classmethod
    def read(cls, path: Path, names: Sequence[str]) -> "Split":
        """The split in a JSON file ``{"train": [case, ...], "validation": [case, ...]}``.

        Raises:
            UserError: the file is not of that form, names no case that validates, a case twice or
                one not in ``names``.
        """
        try:
            content = json.loads(path.read_text())
            split = cls(*(tuple(content[key]) for key in ("train", "validation")))
        except OSError as error:
            raise UserError(
                f"cannot read the split {path} ({error.strerror}): name a JSON file"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f'{path} is no split: write {{"train": [case, ...], "validation": [case, ...]}}'
            ) from error
        listed = split.train + split.validation
        for name in listed:
            if name not in names:
                raise UserError(
                    f"{path} names the case {name!r}, not in the data: {nearest(str(name), names)}"
                )
        for name in set(listed):
            if listed.count(name) > 1:
                raise UserError(f"{path} names the case {name!r} twice: keep one of the two")
        if not split.validation:
            raise UserError(f"{path} names no case under validation: {_BOTH}")
        return split

    def check_trains(self) -> None:
        """Refuse a split that serves for scoring alone.

        Raises:
            UserError: it names no case that trains.
        """
        if not self.train:
            raise UserError(f"the split names no case under train: {_BOTH}")

    def write(self, path: Path) -> None:
        """Write the split in the form that ``read`` takes."""
        write_json(path, {"train": self.train, "validation": self.validation})


def trained_by(weights: str | None) -> set[str]:
    """The cases that trained ``weights``, and those that these were started from.

    They are told by the runs that the weights lie in; of other weights nothing is known.
    """
    trained: set[str] = set()
    seen: set[Path] = set()
    file = None if weights is None else Path(weights).absolute()
    while file is not None and file not in seen:
        seen.add(file)
        run, file = _run_of(file), None
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            if run is not None:
                trained |= {*json.loads((run / "split.json").read_text())["train"]}
                started = json.loads((run / "environment.json").read_text()).get("start_from")
                file = _as_typed(started, run)
    return trained


def _as_typed(weights: str | None, run: Path) -> Path | None:
    """What ``run`` was started from, which was typed in a folder above it, or here."""
    if weights is None:
        return None
    places = (folder / weights for folder in (*run.parents, Path.cwd()))
    return next((place for place in places if _run_of(place) is not None), None)


def _run_of(weights: Path) -> Path | None:
    above = weights.parents[1:3]  # of models/* and of checkpoints/0010/*
    return next((path for path in above if (path / "configs/train.yaml").is_file()), None)


def training_split(
    cohort: Cohort,
    file: str | None,
    run: str,
    validation_fraction: float,
    seed: int,
    start_from: str | None = None,
) -> Split:
    """The split in ``file``, else of the run at ``run``, else one drawn by ``seed`` a domain.

    A run whose split has none of these cases was trained on others, so that its split is not used.
    Of one that has some, the others take no part, which is said. All cases of a subject are drawn
    into one part, and what trained the weights that are started from trains again; where nothing
    else is there, it is said.
    """
    before = trained_by(start_from)
    split = _listed(cohort, file, run) or _drawn(cohort, validation_fraction, seed, before)
    _tell_trained_before(before & {*split.validation}, start_from)
    return split


def _listed(cohort: Cohort, file: str | None, run: str) -> Split | None:
    names = list(cohort.labelled)
    own = Path(run) / "split.json"
    if file is not None:
        return Split.read(Path(file), names)
    if not own.is_file():
        return None
    listed = own.read_text()
    if not any(json.dumps(name) in listed for name in names):
        console.print(f"{own} is of other cases: a new split is drawn", soft_wrap=True)
        return None
    split = Split.read(own, names)
    _tell_left_out(set(names) - {*split.train, *split.validation}, own)
    return split


def _drawn(cohort: Cohort, validation_fraction: float, seed: int, before: Set[str]) -> Split:
    by_domain: dict[str | None, dict[str, list[str]]] = {}
    for case in cohort.labelled.values():
        subjects = by_domain.setdefault(case.domain, {})
        subjects.setdefault(case.subject or case.name, []).append(case.name)
    train, validation = [], []
    for subjects in by_domain.values():
        trained = [subject for subject, cases in subjects.items() if before & {*cases}]
        drawn = Split.drawn(list(subjects), validation_fraction, seed, trained)
        train += [name for subject in drawn.train for name in subjects[subject]]
        validation += [name for subject in drawn.validation for name in subjects[subject]]
    return Split(tuple(train), tuple(validation))


def _tell_trained_before(names: Collection[str], weights: str | None) -> None:
    if names:
        console.print(
            f"{len(names)} cases that validate trained {weights} before, such as {min(names)}: "
            "their scores flatter",
            soft_wrap=True,
            markup=False,
        )


def _tell_left_out(names: Collection[str], split: Path) -> None:
    if names:
        console.print(
            f"{len(names)} labelled cases are in neither part of {split} and take no part, such as "
            f"{min(names)}: give another --split to use them",
            soft_wrap=True,
            markup=False,
        )
