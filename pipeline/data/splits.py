"""Which cases train and which validate."""

import json
import random
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError, nearest
from pipeline.files import write_json

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
    seen: set[str] = set()
    while weights is not None and weights not in seen:
        seen.add(weights)
        above = Path(weights).absolute().parents[1:3]  # of models/* and of checkpoints/0010/*
        run = next((path for path in above if (path / "configs/train.yaml").is_file()), None)
        weights = None
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            if run is not None:
                trained |= {*json.loads((run / "split.json").read_text())["train"]}
                weights = json.loads((run / "environment.json").read_text()).get("start_from")
    return trained
