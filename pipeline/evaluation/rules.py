"""What a score is where a region is empty and the score is not defined."""

from typing import NamedTuple

from pipeline.errors import UserError

NAN = float("nan")


class Undefined(NamedTuple):
    """What stands for a score that is not defined.

    Args:
        fraction: for Dice and every other score in [0, 1].
        distance_mm: for distances, in mm.
    """

    fraction: float
    distance_mm: float


class EmptyRule(NamedTuple):
    """The scores that empty regions leave undefined.

    Args:
        name: what tables and JSON call the rule.
        both_empty: where prediction and reference agree that there is nothing.
        one_empty: where exactly one of them is empty.
        sentence: the rule in words.
    """

    name: str
    both_empty: Undefined
    one_empty: Undefined
    sentence: str

    def __str__(self) -> str:
        return f"empty regions ({self.name}): {self.sentence}"


BRATS = EmptyRule(
    "brats",
    both_empty=Undefined(1.0, 0.0),
    one_empty=Undefined(0.0, 373.13),
    sentence="1 and 0 mm where prediction and reference are both empty, "
    "0 and 373.13 mm where exactly one is",
)
"""The convention of the BraTS challenges; 373.13 mm is the diagonal of their 240x240x155 images."""

RULES = {
    rule.name: rule
    for rule in (
        BRATS,
        EmptyRule(
            "nan",
            both_empty=Undefined(NAN, NAN),
            one_empty=Undefined(NAN, NAN),
            sentence="what they leave undefined is NaN and leaves the mean of its metric",
        ),
        EmptyRule(
            "skip",
            both_empty=Undefined(NAN, NAN),
            one_empty=Undefined(NAN, NAN),
            sentence="rows with an empty prediction or reference leave every mean",
        ),
    )
}
"""The rules by name."""


def find_rule(name: str) -> EmptyRule:
    """The rule of a name.

    Raises:
        UserError: there is no such rule.
    """
    if name not in RULES:
        raise UserError(f"no rule {name} for empty regions: choose one of {', '.join(RULES)}")
    return RULES[name]
