"""Brain phantoms with tumours: four MR modalities and a label, a function of a seed.

The anatomy is a set of inequalities on warped coordinates, so nothing is resampled. Coordinates
run over [-1, 1] along each axis: the patient's left, posterior and superior, as BraTS stores them.
"""

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from pipeline.data.volumes import write_volume
from pipeline.tasks import CONVENTIONS

Shape = tuple[int, int, int]
Spacing = tuple[float, float, float]
Field = NDArray[np.float32]
Mask = NDArray[np.bool_]

FILES = {"flair": "t2f", "t1": "t1n", "t1c": "t1c", "t2": "t2w"}
"""How BraTS 2023 calls the file of each modality, in the order of the channels."""


class Tissue(IntEnum):
    """What a voxel is made of."""

    AIR = 0
    CSF = 1
    GREY = 2
    WHITE = 3
    GLIOSIS = 4
    VESSEL = 5
    CORE = 6
    OEDEMA = 7
    ENHANCING = 8


SIGNAL = {  # white matter in T1 is about 1
    #                 flair   t1    t1c    t2
    Tissue.AIR: (0.00, 0.00, 0.00, 0.00),
    Tissue.CSF: (0.25, 0.30, 0.30, 1.50),
    Tissue.GREY: (0.80, 0.68, 0.70, 0.85),
    Tissue.WHITE: (0.65, 0.95, 0.97, 0.65),
    Tissue.GLIOSIS: (1.20, 0.85, 0.87, 0.75),
    Tissue.VESSEL: (0.35, 0.60, 1.70, 0.35),
    Tissue.CORE: (0.75, 0.40, 0.42, 1.45),
    Tissue.OEDEMA: (1.25, 0.64, 0.66, 1.30),
    Tissue.ENHANCING: (1.00, 0.55, 1.70, 1.05),
}
"""Mean signal by tissue and modality; gliosis is as bright as oedema in FLAIR, and only there."""


@dataclass(frozen=True)
class Phantom:
    """One case.

    Args:
        images: by modality ("flair", "t1", "t1c", "t2"), each (H, W, D) int16, background 0.
        label: (H, W, D) uint8 in the convention ``brats2023``.
        affine: (4, 4), from voxels to mm.
    """

    images: dict[str, NDArray[np.int16]]
    label: NDArray[np.uint8]
    affine: NDArray[np.float64]


def make_phantom(
    shape: Shape, seed: int | tuple[int, ...], spacing: Spacing = (1.2, 1.0, 1.5)
) -> Phantom:
    """A brain with one tumour or two, bitwise the same for the same arguments.

    The tumour has all three tissues, 8 to 16% of the brain in volume. No threshold on one
    modality finds it: gliosis is as bright in FLAIR, vessels in T1c, CSF in T2.

    Args:
        shape: voxels along each axis; from 32 on each tissue has tens of voxels.
        seed: any non-negative integers.
        spacing: millimetres per voxel.
    """
    rng = np.random.default_rng(seed)
    points = warped_coordinates(rng, shape)
    tissue = brain(rng, points)
    grow_tumour(rng, points, tissue)
    images = {
        modality: acquire(rng, tissue, np.array([row[i] for row in SIGNAL.values()], np.float32))
        for i, modality in enumerate(FILES)
    }
    label = np.zeros(shape, np.uint8)
    for name, value in CONVENTIONS["brats2023"].items():
        label[tissue == Tissue[name.upper()]] = value
    return Phantom(images, label, oblique_affine(shape, spacing))


def write_cohort(
    root: Path, num_cases: int, shape: Shape = (64, 72, 48), seed: int = 0
) -> list[str]:
    """Write phantoms as BraTS 2023 does, ``<root>/<case>/<case>-t1n.nii.gz``, and name the cases.

    Each case depends on ``seed`` and its index only, so a longer cohort begins with a shorter one.
    """
    names = [f"phantom-{index:03d}" for index in range(num_cases)]
    for index, name in enumerate(names):
        phantom = make_phantom(shape, (seed, index))
        header = scanner_header(phantom.affine)
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        for modality, image in phantom.images.items():
            write_volume(folder / f"{name}-{FILES[modality]}.nii.gz", image, header)
        write_volume(folder / f"{name}-seg.nii.gz", phantom.label, header)
    return names


def scanner_header(affine: NDArray[np.float64]) -> Any:
    """A NIfTI header in mm whose qform and sform are ``affine``, both of code 1 (scanner)."""
    header_class: Any = nib.Nifti1Header
    header = header_class()
    header.set_qform(affine, code=1)
    header.set_sform(affine, code=1)
    header.set_xyzt_units("mm")
    return header


def oblique_affine(shape: Shape, spacing: Spacing) -> NDArray[np.float64]:
    """LPS axes tilted by a few degrees, with 0 mm in the middle of the grid."""
    tilt = Rotation.from_euler("xyz", (8, -5, 12), degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = tilt @ np.diag([-1, -1, 1]) @ np.diag(spacing)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def smooth_field(rng: np.random.Generator, shape: Shape, cells: int) -> Field:
    """Noise of mean 0 and deviation 1 with about ``cells`` hills and hollows along each axis."""
    field = rng.standard_normal((cells, cells, cells), np.float32)
    centres = np.linspace(-1, 1, cells, dtype=np.float32)
    width = 0.65 * (centres[1] - centres[0])
    for size in shape:  # each turn widens the first axis and moves it to the end
        offsets = np.linspace(-1, 1, size, dtype=np.float32) - centres[:, None]
        field = np.tensordot(field, np.exp(-0.5 * (offsets / width) ** 2), axes=(0, 0))
    return (field - field.mean()) / field.std()


def warped_coordinates(rng: np.random.Generator, shape: Shape) -> Field:
    """Where in the anatomy each voxel lies: (3, H, W, D), smoothly off its place in [-1, 1]."""
    axes = [np.linspace(-1, 1, size, dtype=np.float32) for size in shape]
    points = np.stack(np.meshgrid(*axes, indexing="ij"))
    return points + np.stack([0.04 * smooth_field(rng, shape, 4) for _ in range(3)])


def distance(points: Field, centre: ArrayLike, radii: ArrayLike) -> Field:
    """Of each point from the centre of an ellipsoid, 1 on its surface."""
    middle, size = (np.asarray(x, np.float32).reshape(3, 1, 1, 1) for x in (centre, radii))
    offsets = (points - middle) / size
    return np.sqrt(np.sum(offsets**2, axis=0))


def brain(rng: np.random.Generator, points: Field) -> NDArray[np.uint8]:
    """The tissues of a brain without tumour, skull-stripped."""
    x, y, z = points
    shape = x.shape
    depth = distance(points, (0, 0, 0), (0.84, 0.92, 0.86))
    fold = smooth_field(rng, shape, 16)
    tissue = np.full(shape, Tissue.WHITE, np.uint8)
    ventricles = distance(
        np.stack([np.abs(x) - 0.25 * z**2, y, z]), (0.12, 0, 0.1), (0.1, 0.4, 0.25)
    )
    nuclei = distance(np.stack([np.abs(x), y, z]), (0.3, -0.1, -0.05), (0.13, 0.25, 0.2))
    tissue[(depth > 0.8 + 0.06 * fold) | (nuclei < 1)] = Tissue.GREY
    gliosis = smooth_field(rng, shape, 9) > 1.6
    tissue[gliosis | (np.abs(ventricles - 1.15) < 0.2)] = Tissue.GLIOSIS
    sulci = (depth > 0.78) & (np.abs(fold) < 0.15)
    fissure = (np.abs(x) < 0.025) & (depth > 0.6)
    tissue[sulci | fissure | (depth > 0.95) | (ventricles < 1)] = Tissue.CSF
    tubes = np.hypot(smooth_field(rng, shape, 8), smooth_field(rng, shape, 8)) < 0.22
    sinus = np.hypot(x / 0.06, (depth - 0.95) / 0.06) < 1
    tissue[tubes | (sinus & (z > 0))] = Tissue.VESSEL
    tissue[depth > 1] = Tissue.AIR
    return tissue


def grow_tumour(rng: np.random.Generator, points: Field, tissue: NDArray[np.uint8]) -> None:
    """Paint oedema, within it enhancing tumour, and within that core.

    Volumes are drawn and the surfaces follow, so no tissue is ever missing.
    """
    shape = tissue.shape
    reach = np.full(shape, np.inf, np.float32)
    for size in (1, 0.7)[: rng.integers(1, 3)]:
        side = rng.choice([-1, 1])
        centre = rng.uniform((0.28, -0.55, -0.4), (0.5, 0.55, 0.45)) * (side, 1, 1)
        focus = distance(points, centre, size * rng.uniform(0.2, 0.35, 3))
        focus[points[0] * side < 0] = np.inf  # the falx: no growth into the other hemisphere
        reach = np.minimum(reach, focus)
    volume = rng.uniform(0.08, 0.16) * np.count_nonzero(tissue)
    room = tissue != Tissue.AIR
    for part, share, roughness in (
        (Tissue.OEDEMA, 1, 0.3),
        (Tissue.ENHANCING, rng.uniform(0.45, 0.6), 0.15),
        (Tissue.CORE, rng.uniform(0.25, 0.4), 0.1),
    ):
        volume *= share
        room = nearest_voxels(reach + roughness * smooth_field(rng, shape, 6), room, round(volume))
        tissue[room] = part


def nearest_voxels(reach: Field, room: Mask, count: int) -> Mask:
    """The ``count`` voxels of ``room`` where ``reach`` is least."""
    furthest = np.partition(reach[room], count)[count]
    return room & (reach < furthest)


def acquire(
    rng: np.random.Generator, tissue: NDArray[np.uint8], signal: Field
) -> NDArray[np.int16]:
    """An MR image: partial volume, texture, bias field, Rician noise, a scale of its own."""
    shape = tissue.shape
    ideal = ndimage.gaussian_filter(signal[tissue], 0.4)
    ideal *= 1 + 0.04 * smooth_field(rng, shape, 16)
    ideal *= np.exp(0.12 * smooth_field(rng, shape, 3))
    real, imaginary = 0.06 * rng.standard_normal((2, *shape), np.float32)
    scale = 10 ** rng.uniform(2.3, 3.2)
    image = np.rint(scale * np.hypot(ideal + real, imaginary)).clip(1, 32767).astype(np.int16)
    return np.where(tissue == Tissue.AIR, np.int16(0), image)
