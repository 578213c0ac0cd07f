"""Read a case: its modalities stacked on one grid, and its label."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Transform
from numpy.typing import NDArray

from pipeline import grids
from pipeline.data.labels import read_labels
from pipeline.data.volumes import Volume, read_volume
from pipeline.errors import UserError
from pipeline.tasks import Task


class LoadCase(Transform):
    """Paths become an image (C, H, W, D) and, where there is one, a label of the task's targets.

    Takes the records of ``pipeline.data.loaders.records``. The label is (regions, H, W, D) of zeros
    and ones, or (1, H, W, D) of class numbers.

    Raises:
        UserError: a file cannot be read, the grids of a case's files differ, all its images are
            zero everywhere, or its label holds a value that its convention does not know.
    """

    def __init__(self, task: Mapping[str, Any] | Task) -> None:
        self.task = Task.of(task)

    def __call__(self, record: Mapping[str, Any]) -> dict[str, Any]:
        volumes: dict[str, Volume] = {}
        channels = []
        first = read_volume(Path(record["image"][0][0]))
        for path, channel in record["image"]:
            volume = first if path == record["image"][0][0] else volumes.get(path)
            volume = volumes[path] = volume or read_volume(Path(path))
            _check_grid(first, record["image"][0][0], volume, path)
            channels.append(_channel(volume, channel, path))
        image = torch.from_numpy(np.stack(channels).astype(np.float32))
        if not image.any():
            raise UserError(
                f"case {record['case']} is zero in every voxel of {record['image'][0][0]} and of "
                "its other images: copy them again from their source"
            )
        loaded = {**record, "image": MetaTensor(image, affine=torch.from_numpy(first.affine))}
        if record.get("label"):
            label = read_labels(Path(record["label"]), self.task, record["convention"])
            _check_grid(first, record["image"][0][0], label, record["label"])
            targets = torch.from_numpy(self._targets(label.array, record["convention"]))
            loaded["label"] = MetaTensor(targets, affine=torch.from_numpy(first.affine))
        return loaded

    def _targets(self, label: NDArray[np.uint8], convention: str) -> NDArray[np.float32]:
        if self.task.classes:
            return label[None].astype(np.float32)
        regions = self.task.target_values(convention).values()
        return np.stack([np.isin(label, region) for region in regions]).astype(np.float32)


def _check_grid(first: Volume, first_path: str, other: Volume, path: str) -> None:
    shape, first_shape = other.array.shape[:3], first.array.shape[:3]
    if shape != first_shape:
        raise UserError(
            f"{path} has shape {shape} and {first_path} has {first_shape}: "
            "resample them onto one grid"
        )
    if not grids.same_grid(first_shape, first.affine, shape, other.affine):
        raise UserError(
            f"{path} and {first_path} differ in their affine: resample them onto one grid"
        )


def _channel(volume: Volume, channel: int | None, path: str) -> NDArray[Any]:
    array = volume.array.reshape(*volume.array.shape[:3], -1)
    count = array.shape[3]
    if channel is None and count > 1:
        raise UserError(f"{path} holds {count} channels, not one image: give one file a modality")
    if channel is not None and channel >= count:
        raise UserError(f"{path} holds {count} channels, and number {channel} was asked for")
    image = array[..., channel or 0]
    if not np.isfinite(image).all():
        raise UserError(f"{path} holds voxels that are not finite: repair the file")
    return image
