"""The one exception whose text a user reads."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake that the user can mend: one sentence with what is wrong, where, and what to do."""


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that ends a sentence about an unknown ``name``.

    Examples:
        >>> nearest("unet3", ["unet3d", "vnet"])
        'did you mean unet3d?'
        >>> nearest("x", ["unet3d", "vnet"])
        'known are unet3d, vnet'
    """
    names = sorted(known)
    matches = get_close_matches(name.lower(), [known.lower() for known in names], n=1)
    if not names:
        return "nothing can stand there"
    closest = next((known for known in names if known.lower() in matches), None)
    return f"did you mean {closest}?" if closest else f"known are {', '.join(names)}"


def origin(error: BaseException) -> BaseException:
    """What caused ``error`` at the bottom; MONAI's parser wraps what its expressions raise."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def sentence(error: BaseException) -> str | None:
    """What a user reads of ``error``: the ``UserError`` or closed file behind it, or None.

    Libraries wrap what a component raises, so the causes are searched; an error of a loader's
    worker process arrives as the text of all tracebacks.
    """
    cause: BaseException | None = error
    while cause is not None:
        text = str(cause)
        if isinstance(cause, UserError) or "UserError: " in text:
            return text.rpartition("UserError: ")[2].partition("\n\n")[0].strip()
        if isinstance(cause, PermissionError) and cause.filename:
            return f"{cause.filename} is closed to this user: open it, or choose another"
        cause = cause.__cause__ or cause.__context__
    return None
