"""Images in memory, prepared by us and by MONAI."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose

from pipeline.data.channels import ArrayChannel
from pipeline.inference.preparing import Prepared, prepare
from pipeline.recipe import Recipe
from pipeline.tasks import Task
from pipeline.transforms import preprocessing

TASK = Task(("flair", "t1"), regions=("TC", "WT"))


def prepared(
    arrays: Sequence[np.ndarray],
    affine: np.ndarray,
    recipe: dict[str, Any],
    path: Path,
    **how: Any,
) -> Prepared:
    return prepare(
        [ArrayChannel(array) for array in arrays], affine, Recipe.of(recipe), path, **how
    )


def whole(image: Prepared) -> np.ndarray:
    """The image (C, *working)."""
    stored = image.image.read(0, image.image.shape[0])
    return np.moveaxis(stored.swapaxes(0, 1), 1, 1 + image.grid.slab_axis)


def stock(recipe: dict[str, Any], task: Task = TASK) -> Compose:
    """MONAI's transforms of ``recipe`` for an image that is loaded."""
    return Compose(preprocessing(recipe, task).transforms[1:])


def by_monai(arrays: Sequence[np.ndarray], affine: np.ndarray, recipe: dict[str, Any]) -> Any:
    stack = torch.from_numpy(np.stack(arrays).astype(np.float32))
    return stock(recipe)({"image": MetaTensor(stack, affine=torch.from_numpy(affine))})["image"]
