"""MONAI's transforms built from a recipe."""

from collections.abc import Mapping, Sequence
from typing import Any

from monai.transforms import (
    Compose,
    CropForegroundd,
    NormalizeIntensityd,
    Orientationd,
    Spacingd,
)
from torch import Tensor

from pipeline.recipe import Recipe
from pipeline.tasks import Task, of_domain
from pipeline.transforms.domains import ByDomain
from pipeline.transforms.loading import LoadCase


def preprocessing(
    recipe: Mapping[str, Any],
    task: Mapping[str, Any] | Task,
    keys: Sequence[str] = ("image",),
    domains: Mapping[str, Mapping[str, Any]] | None = None,
) -> Compose | ByDomain:
    """Files to tensors on the working grid.

    Args:
        recipe: see ``pipeline.recipe.Recipe``.
        task: see ``pipeline.tasks.Task``.
        keys: what is moved to the working grid; a label that is not named stays on its own.
        domains: task and spacing of each; a record that names no domain is prepared by ``recipe``
            for ``task``.
    """
    own = _steps(recipe, task, keys)
    if domains is None:
        return own
    steps: dict[str | None, Compose] = {None: own}
    for name in domains:
        spaced = {**recipe, "spacing": of_domain(domains, name, "spacing")}
        steps[name] = _steps(spaced, of_domain(domains, name, "task"), keys)
    return ByDomain(steps)


def _steps(
    recipe: Mapping[str, Any], task: Mapping[str, Any] | Task, keys: Sequence[str]
) -> Compose:
    plan = Recipe.of(recipe)
    modes = ["bilinear" if key == "image" else "nearest" for key in keys]
    steps: list[Any] = [LoadCase(task)]
    if plan.foreground_margin is not None:
        steps.append(
            CropForegroundd(
                keys,
                source_key="image",
                select_fn=_nonzero,
                margin=plan.foreground_margin,
                allow_smaller=True,
            )
        )
    if plan.intensity is not None:
        steps.append(NormalizeIntensityd("image", nonzero=True, channel_wise=True))
    steps.append(Orientationd(keys, axcodes=plan.orientation, labels=None))
    if plan.spacing is not None:
        steps.append(Spacingd(keys, pixdim=plan.spacing, mode=modes))
    return Compose(steps)


def _nonzero(image: Tensor) -> Tensor:
    return image != 0
