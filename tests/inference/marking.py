"""A stand-in for a segmenter, and images that it marks."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from pipeline.bundles import Bundle
from pipeline.inference.codes import Rules
from pipeline.inference.plan import Windowing, plan_windows
from pipeline.inference.restoring import native_planes
from pipeline.inference.settings import Settings
from pipeline.recipe import Recipe
from pipeline.tasks import Task

TASK = Task(("mri",), classes=("background", "structure"))
AFFINE = np.diag([-2.0, 1.5, 3.0, 1.0])


def bright(seed):
    """An image (7, 6, 5) of zeros and ones, with a rim of zeros."""
    image = np.zeros((7, 6, 5), np.float32)
    image[1:-1, 1:-1, 1:-1] = np.random.default_rng(seed).integers(0, 2, (5, 4, 3))
    image[3, 3, 2] = 1
    return image


class Marker:
    """Marks what is above 0.5 in the first modality, as a segmenter would.

    Args:
        reads_ahead: cases that are read meanwhile.
        before: called in the place of the network, with how many cases were segmented.
    """

    task = TASK
    recipes = (Recipe(foreground_margin=2, intensity=None),)
    rules = Rules()
    limit = SimpleNamespace(in_memory=None)
    bundles = (Bundle(Path("marker")),)
    weights = (Path("marker.safetensors"),)
    mirror = ((),)

    def __init__(self, reads_ahead=1, before=lambda _count: None):
        self.reads_ahead = reads_ahead
        self.before = before
        self.count = 0
        self.released_after = 0
        settings = Settings("marker", TASK, self.recipes[0], Windowing(3, (8, 8, 8)), self.rules)
        self.models = (
            SimpleNamespace(
                settings=settings,
                backend=SimpleNamespace(name="eager"),
                weights_sha256="0" * 64,
                device="cpu",
                device_name="cpu (1 threads)",
            ),
        )

    def rooms(self, _prepared):
        return [SimpleNamespace(reads_ahead=self.reads_ahead, expected=2**28)]

    def release(self):
        self.released_after = self.count

    def segment(self, prepared, codes, probabilities=()):
        (own,) = prepared
        self.before(self.count)
        self.count += 1
        image = own.image.read(0, own.image.shape[0])
        for z, plane in native_planes(own.grid, [(0, image)]):
            both = (1 - plane[0], plane[0])
            codes.write(z, (plane > 0.5).astype(codes.dtype))
            for file, channel in zip(probabilities, both, strict=bool(probabilities)):
                file.write(z, channel[None])
        plan = plan_windows(own.grid.shape, Windowing(3, (8, 8, 8)), own.occupied)
        return SimpleNamespace(compile_s=0.0, network_s=1.0, restore_s=0.5, plans=[plan])
