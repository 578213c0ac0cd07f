"""Read a case: its modalities stacked on one grid, and its label."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Transform
from numpy.typing import NDArray

from pipeline.data.admission import admit
from pipeline.data.alignment import aligned
from pipeline.data.cohorts import Case
from pipeline.tasks import Task


class LoadCase(Transform):
    """Paths become an image (C, H, W, D) and, where there is one, a label of the task's targets.

    Takes the records of ``pipeline.data.loaders.records``. The label is (regions, H, W, D) of zeros
    and ones, or (1, H, W, D) of class numbers.

    Raises:
        UserError: the case is refused by ``pipeline.data.admission``.
    """

    def __init__(self, task: Mapping[str, Any] | Task) -> None:
        self.task = Task.of(task)

    def __call__(self, record: Mapping[str, Any]) -> dict[str, Any]:
        images = tuple((Path(path), channel) for path, channel in record["image"])
        label = Path(record["label"]) if record.get("label") else None
        files = Case(record["case"], images, label, record.get("align"))
        case = aligned(admit(files, self.task, record.get("convention")), files.align, self.task)
        affine = torch.from_numpy(case.images[0].volume.affine)
        stack = np.stack([image.array for image in case.images]).astype(np.float32)
        image = MetaTensor(torch.from_numpy(stack), affine=affine)
        loaded = {**record, "image": image}
        if case.label is not None:
            targets = torch.from_numpy(self._targets(case.label.array, record["convention"]))
            loaded["label"] = MetaTensor(targets, affine=affine)
        return loaded

    def _targets(self, label: NDArray[np.uint8], convention: str) -> NDArray[np.float32]:
        if self.task.classes:
            return label[None].astype(np.float32)
        regions = self.task.target_values(convention).values()
        return np.stack([np.isin(label, region) for region in regions]).astype(np.float32)
