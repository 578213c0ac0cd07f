"""Write DICOM series of a few pixels."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from pipeline.data.dicom import locale_kept

PATIENT = "Dumbledore"
AXIAL = (1, 0, 0, 0, 1, 0)


@dataclass
class FakeSeries:
    """A series of slices 2 mm apart, each of its own grey value, to be spoilt by a test.

    With ``voxels`` (columns, rows, slices) it has these instead.
    """

    number: int = 1
    description: str = "FLAIR"
    study: str = "1.2.3"
    size: tuple[int, int] = (5, 4)
    spacing: tuple[float, float] = (0.5, 0.75)
    orientations: list[tuple[float, ...]] = field(default_factory=lambda: [AXIAL] * 4)
    positions: list[tuple[float, ...]] = field(
        default_factory=lambda: [(10, 20, 30 + 2 * i) for i in range(4)]
    )
    tags: dict[str, str] = field(default_factory=dict)
    voxels: np.ndarray | None = None

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for place, (position, orientation) in enumerate(
            zip(self.positions, self.orientations, strict=True)
        ):
            # Names run against the order of the slices.
            self._write_slice(folder / f"IM{100 - place}", place, position, orientation)
        return folder

    def _write_slice(self, path, place, position, orientation):
        columns, rows = self.size
        if self.voxels is not None:
            pixels = self.voxels[:, :, place].T.astype(np.int16)
        else:
            pixels = np.full((rows, columns), 100 * (place + 1), np.int16)
            pixels[0, 1] = 7
        image = sitk.GetImageFromArray(pixels[None])
        spacing = (*self.spacing, 2.0)
        image.SetSpacing(spacing)
        image.SetOrigin(position)
        row, column = np.reshape(np.array(orientation, float), (2, 3))
        direction = np.stack([row, column, np.cross(row, column)], axis=1)
        image.SetDirection(direction.ravel().tolist())
        tags = {
            "0008|0008": "ORIGINAL\\PRIMARY\\AXIAL",
            "0008|0016": "1.2.840.10008.5.1.4.1.1.4",
            "0008|0018": f"{self.study}.{self.number}.{place + 1}",
            "0008|0060": "MR",
            "0008|103e": self.description,
            "0010|0010": PATIENT,
            "0010|0020": "ID-77",
            "0018|0050": "2",
            "0020|000d": self.study,
            "0020|000e": f"{self.study}.{self.number}",
            "0020|0011": str(self.number),
            "0020|0032": "\\".join(map(str, position)),
            "0020|0037": "\\".join(map(str, orientation)),
        } | self.tags
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetImageIO("GDCMImageIO")
        writer.SetFileName(str(path) + ".dcm")
        with locale_kept():
            writer.Execute(image)


def write_study(folder: Path, **changes) -> Path:
    """FLAIR, T1, T1 with contrast and T2 of one patient, a folder a series."""
    descriptions = ("FLAIR", "AX T1 PRE", "AX T1 POST GAD", "T2 TSE")
    for number, description in enumerate(descriptions, start=1):
        FakeSeries(number, description, **changes).write(folder / f"{PATIENT}-{number}")
    return folder
