"""What a person sees of a long run: a bar in a terminal, else plain lines."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

console = Console(stderr=True, highlight=False, quiet=int(os.environ.get("RANK", "0")) > 0)
"""Standard error, where everything but results is told, by the first of several processes."""


@contextmanager
def over_cases(verb: str, count: int) -> Iterator[Callable[[str, str], None]]:
    """Gives a function to call with what became of a case and its name, when it is done.

    Args:
        verb: what happens to the cases, such as "segment".
        count: cases in all.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        item = bar.add_task(verb, total=count)

        def on_case(outcome: str, name: str) -> None:
            bar.update(item, advance=1)
            if not console.is_terminal:
                console.print(
                    f"{verb} {name} {outcome} ({int(bar.tasks[item].completed)}/{count})",
                    soft_wrap=True,
                    markup=False,
                )

        yield on_case
