"""The package's templates, filled in."""

from functools import cache
from typing import Any

from jinja2 import Environment

from pipeline.evaluation.templates import templates_of


def render(template: str, **values: Any) -> str:
    """The file ``template`` of the folder ``templates`` with ``values``, which are escaped.

    In a template ``1234567 | scaled`` reads 1.23 M.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    environment = templates_of("pipeline.comparison")
    environment.filters["scaled"] = _scaled
    return environment


def _scaled(number: float) -> str:
    """Three digits and a prefix of a thousand's power."""
    for prefix in ("", " k", " M", " G", " T"):
        if number < 999.5:
            return f"{number:#.3g}".rstrip(".") + prefix
        number /= 1000
    return f"{number:#.3g}".rstrip(".") + " P"
