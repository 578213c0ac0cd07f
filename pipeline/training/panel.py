"""A picture of a validated case."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.image import imread
from numpy.typing import NDArray
from torch import Tensor

from pipeline.data.pixels import is_image
from pipeline.data.volumes import read_volume
from pipeline.pictures import canonical, three_planes


def panel(
    sample: Mapping[str, Any], output: Mapping[str, Any], targets: Sequence[str]
) -> NDArray[np.float32]:
    """Image, reference and prediction of a case in three planes, as an image (H, W, 3) in [0, 1].

    Args:
        sample: names the ``source`` of the image.
        output: binary ``pred`` and ``label`` (targets, *S) on the grid of the source.
        targets: their names.
    """
    source = read_volume(Path(sample["source"]))
    order = np.argsort([-float(mask.nansum()) for mask in output["label"]])  # small ones on top
    volumes = [source.array.reshape(*source.array.shape[:3], -1)[..., 0]]
    volumes += [painted(output[key], order) for key in ("label", "pred")]
    spacing = None
    if is_image(Path(sample["source"])):
        image, label, pred = (array[::-1, ::-1].transpose(1, 0, 2) for array in volumes)
    else:
        (image, label, pred), spacing = canonical(volumes, source.affine)
    names = {value + 1: name for value, name in enumerate(targets)}
    picture = BytesIO()
    three_planes(image, label, pred, spacing, picture, sample["case"], names)
    picture.seek(0)
    return imread(picture)[..., :3]


def painted(masks: Tensor, order: NDArray[np.intp]) -> NDArray[np.uint8]:
    """A label map (*S) of target numbers from 1, painted in ``order``."""
    label = np.zeros(masks.shape[1:], np.uint8)
    for index in order:
        label[masks[index].cpu().numpy() == 1] = index + 1
    return label
