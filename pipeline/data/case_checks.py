"""What can be said of the images of a case, whether their voxels are in memory or on disk."""

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Protocol

import numpy as np

from pipeline import grids
from pipeline.data import pixels
from pipeline.data.channels import Channel, Facts, identical
from pipeline.data.findings import Finding, refusal, shown
from pipeline.data.volume_checks import Placed, check_grid, check_values

_RESAMPLE = {
    "different-grids": "resample them onto one grid, or segment and train with --align",
    "label-grid": "resample them onto one grid",
}
"""The remedy, by code."""


class Checked(Protocol):
    """One modality of a case."""

    @property
    def path(self) -> Path:
        """Of its file."""

    @property
    def volume(self) -> Placed:
        """The whole file."""

    @property
    def channel(self) -> int | None:
        """Of a file of several, else None."""

    @property
    def voxels(self) -> Channel:
        """Of this modality alone."""

    @property
    def facts(self) -> Facts:
        """Of these voxels."""


def channel_of(path: Path, shape: Sequence[int], channel: int | None) -> int:
    """The channel that is meant in a file of ``shape`` (H, W, D, ...).

    Raises:
        FileUserError: the file has several channels and none is named, or not that one.
    """
    count = math.prod(shape[3:])
    if channel is None and count > 1:
        what = f"holds {count} channels, not one image"
        raise refusal("channels", path, what, "give one file a modality")
    if channel is not None and channel >= count:
        what = f"holds {count} channels, and number {channel} was asked for"
        raise refusal("channels", path, what, "count channels from 0")
    return channel or 0


def check_one_grid(images: Sequence[Checked]) -> Iterator[Finding]:
    """Findings about images that are elsewhere than the first."""
    first, *others = images
    for image in others:
        yield from check_same_grid("different-grids", first, image.path, image.volume)


def check_overlap(images: Sequence[Checked]) -> Iterator[Finding]:
    """Findings about images of which nothing lies where the first does, so none can be aligned."""
    first, *others = images
    for image in others:
        indices = np.linalg.inv(image.volume.affine) @ first.volume.affine
        if not grids.covered(first.volume.shape[:3], indices, image.volume.shape[:3]).any():
            yield Finding(
                "different-grids",
                image.path,
                f"{shown(image.path)} has nothing where {shown(first.path)} lies: correct the "
                "place in its header",
            )


def check_same_grid(code: str, first: Checked, path: Path, volume: Placed) -> Iterator[Finding]:
    """A finding of this code if ``volume`` is elsewhere than the first image."""
    first_shape, shape = first.volume.shape[:3], volume.shape[:3]
    if shape != first_shape:
        yield Finding(
            code,
            path,
            f"{shown(path)} has shape {shape} and {shown(first.path)} has {first_shape}: "
            f"{_RESAMPLE[code]}",
        )
    elif not grids.same_grid(first_shape, first.volume.affine, shape, volume.affine):
        yield Finding(
            code,
            path,
            f"{shown(path)} and {shown(first.path)} differ in their affine: {_RESAMPLE[code]}",
        )


def check_images(name: str, images: Sequence[Checked]) -> Iterator[Finding]:
    """Findings about each file of the case ``name``, and about their voxels.

    Raises:
        FileUserError: a file has several channels, or not the one that is asked for.
    """
    for path, volume in {image.path: image.volume for image in images}.items():
        if not pixels.is_image(path):
            yield from check_grid(path, volume)
    for image in images:
        yield from check_values(image.path, image.facts)
    if all(image.facts.empty for image in images):
        path = images[0].path
        yield Finding(
            "empty-case",
            path,
            f"case {name} is zero in every voxel of {shown(path)} and of its other images: "
            "copy them again from their source",
        )
    for image, other in combinations(images, 2):
        if identical(image.voxels, other.voxels):
            yield Finding(
                "identical-images",
                other.path,
                f"{_named(other)} has the voxels of {_named(image)}: give each modality its own",
            )


def _named(image: Checked) -> str:
    number = "" if image.channel is None else f" channel {image.channel}"
    return f"{shown(image.path)}{number}"
