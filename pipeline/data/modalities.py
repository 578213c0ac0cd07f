"""The names that a modality goes by."""

import re

ALIASES: dict[str, tuple[str, ...]] = {
    "flair": ("flair", "t2f", "t2flair", "fla"),
    "t1": ("t1", "t1n", "t1w"),
    "t1c": ("t1c", "t1ce", "t1gd", "t1post", "t1wce"),
    "t2": ("t2", "t2w"),
    "label": ("seg", "label", "labels", "segmentation"),
}
"""The usual names of a modality at the end of a file name, by canonical name."""

_CANONICAL = {alias: name for name, aliases in ALIASES.items() for alias in aliases}


def canonical(modality: str) -> str:
    """The canonical name of a modality; an unknown one is itself in lower case.

    Examples:
        >>> canonical("T1CE"), canonical("t1-post"), canonical("MRI")
        ('t1c', 't1c', 'mri')
    """
    name = re.sub(r"[^a-z0-9]", "", modality.lower())
    return _CANONICAL.get(name, name)


def names_of(modality: str) -> tuple[str, ...]:
    """The names that a canonical modality goes by."""
    return ALIASES.get(modality, (modality,))
