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
    matches = get_close_matches(name, names, n=1)
    if not names:
        return "nothing can stand there"
    return f"did you mean {matches[0]}?" if matches else f"known are {', '.join(names)}"


def sentence(error: BaseException) -> str | None:
    """The text of the ``UserError`` behind ``error``, or None if there is none.

    Libraries wrap what a component raises, so the causes are searched; an error of a loader's
    worker process arrives as the text of all tracebacks.
    """
    cause: BaseException | None = error
    while cause is not None:
        text = str(cause)
        if isinstance(cause, UserError) or "UserError: " in text:
            return text.rpartition("UserError: ")[2].partition("\n\n")[0].strip()
        cause = cause.__cause__ or cause.__context__
    return None
