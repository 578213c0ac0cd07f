"""How the grid that a network sees lies in the grid of a file."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from pipeline import grids
from pipeline.recipe import Recipe

TOLERANCE = 1e-3
"""Spacings (mm) and affines that differ by no more are taken for equal, as MONAI does."""

Affine = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Grid:
    """The working grid: a crop of the file's, with its axes turned, then resampled.

    Args:
        native_shape: of the file's array.
        box: first voxel of the crop and the one after its last, by axis of the file.
        axes: the axis of the file that each working axis is.
        flipped: whether it runs the other way, by working axis.
        to_crop: 4 x 4, from indices of the working grid to those of the crop with its axes turned.
        shape: of the working grid.
        affine: 4 x 4, from indices of the working grid to mm (RAS).
    """

    native_shape: tuple[int, int, int]
    box: tuple[tuple[int, int], ...]
    axes: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]
    to_crop: Affine
    shape: tuple[int, int, int]
    affine: Affine

    @property
    def slab_axis(self) -> int:
        """The working axis that is the last of the file, along which files are read."""
        return self.axes.index(2)

    @cached_property
    def order(self) -> tuple[int, int, int]:
        """The working axes as planes are stored: the slab axis, then the other two."""
        first, second = (axis for axis in range(3) if axis != self.slab_axis)
        return self.slab_axis, first, second

    @property
    def crop_shape(self) -> tuple[int, int, int]:
        """Of the crop with its axes turned, in the order of the working axes."""
        x, y, z = (self.box[axis][1] - self.box[axis][0] for axis in self.axes)
        return x, y, z

    def native_z(self, place: int) -> int:
        """The plane of the file that is plane ``place`` of the turned crop."""
        first, stop = self.box[2]
        return stop - 1 - place if self.flipped[self.slab_axis] else first + place

    def turned(self, plane: NDArray[Any]) -> NDArray[Any]:
        """A view of a cropped plane of the file (..., X, Y) with working axes (..., P, Q)."""
        _, first, second = self.order
        if self.axes[first] > self.axes[second]:
            plane = plane.swapaxes(-1, -2)
        return self._flipped(plane)

    def turned_back(self, plane: NDArray[Any]) -> NDArray[Any]:
        """A view of a plane (..., P, Q) with the axes of the file (..., X, Y)."""
        _, first, second = self.order
        plane = self._flipped(plane)
        return plane.swapaxes(-1, -2) if self.axes[first] > self.axes[second] else plane

    def _flipped(self, plane: NDArray[Any]) -> NDArray[Any]:
        rows, columns = (
            slice(None, None, -1 if self.flipped[axis] else 1) for axis in self.order[1:]
        )
        return plane[..., rows, columns]


def working_grid(
    affine: NDArray[np.floating[Any]],
    native_shape: Sequence[int],
    box: Sequence[tuple[int, int]],
    recipe: Recipe,
) -> Grid:
    """The working grid of ``recipe`` on the crop ``box`` of a file.

    Args:
        affine: of the file, 4 x 4, invertible.
        native_shape: of the file.
        box: first voxel and the one after the last, by axis of the file.
        recipe: its orientation and spacing hold.
    """
    x, y, z = (int(size) for size in native_shape)
    sizes = [stop - first for first, stop in box]
    crop = np.asarray(affine, np.float64) @ _shift([first for first, _ in box])
    wanted = nib.orientations.axcodes2ornt(recipe.orientation)
    turn = nib.orientations.ornt_transform(nib.orientations.io_orientation(crop), wanted)
    i, j, k = np.argsort(turn[:, 0]).tolist()
    turned = Grid(
        native_shape=(x, y, z),
        box=tuple((int(first), int(stop)) for first, stop in box),
        axes=(i, j, k),
        flipped=(bool(turn[i, 1] < 0), bool(turn[j, 1] < 0), bool(turn[k, 1] < 0)),
        to_crop=np.eye(4),
        shape=(sizes[i], sizes[j], sizes[k]),
        affine=crop @ nib.orientations.inv_ornt_aff(turn, sizes),
    )
    if recipe.spacing is None or 0 in sizes:
        return turned
    return _spaced(turned, recipe.spacing)


def _spaced(turned: Grid, spacing: Sequence[float]) -> Grid:
    """``turned`` at another spacing, as MONAI's Spacing places it."""
    own = np.array(grids.spacing(turned.affine))
    wanted = np.array([*spacing, *[spacing[-1]] * (3 - len(spacing))][:3], np.float64)
    wanted = np.where((np.abs(own - wanted) <= TOLERANCE) | ~(wanted > 0), own, wanted)
    affine = _rotation(turned.affine) @ np.diag([*wanted, 1.0])
    shape, affine[:3, 3] = _placed(turned.shape, turned.affine, affine)
    to_crop = np.asarray(np.linalg.solve(turned.affine, affine), np.float64)
    alike = np.allclose(turned.affine, affine, atol=TOLERANCE)
    if shape == turned.shape and (alike or np.allclose(to_crop, np.eye(4), atol=TOLERANCE)):
        return turned
    return replace(turned, shape=shape, affine=affine, to_crop=to_crop)


def _rotation(affine: Affine) -> Affine:
    """The directions of the axes, made rectangular if they are not, about the origin."""
    axes = affine[:3, :3]
    rotation = np.eye(4)
    rotation[:3, :3] = axes @ np.linalg.inv(np.linalg.cholesky(axes.T @ axes).T)
    return rotation


def _placed(
    shape: tuple[int, int, int], affine: Affine, spaced: Affine
) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    """Shape and origin (mm) of a grid with the axes of ``spaced`` over that of ``affine``."""
    ends = [(0.0, size - 1.0) for size in shape]
    corners = np.array(np.meshgrid(*ends, indexing="ij")).reshape(3, -1)
    corners = np.concatenate([corners, np.ones_like(corners[:1])])
    places = (np.linalg.solve(spaced, affine) @ corners)[:3]
    x, y, z = np.round(np.ptp(places, axis=1) + 1.0).astype(int).tolist()
    for index in range(corners.shape[1]):
        nearest = (places - places[:, index : index + 1]).min(axis=1)
        if np.allclose(nearest, 0.0, rtol=TOLERANCE):
            return (x, y, z), (affine @ corners)[:3, index]
    centre = affine[:3, :3] @ (np.array(shape) / 2) + affine[:3, 3]
    return (x, y, z), centre - spaced[:3, :3] @ (np.array([x, y, z]) / 2)


def _shift(voxels: Sequence[int]) -> Affine:
    shift = np.eye(4)
    shift[:3, 3] = voxels
    return shift
