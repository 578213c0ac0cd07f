"""Write DICOM series as NIfTI."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.data.layouts import Found
from pipeline.data.volumes import read_volume, write_volume
from pipeline.errors import UserError


def convert(
    cases: Iterable[Found], output: Path
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Write ``<case>/<modality>.nii.gz`` for every series that can be read.

    Args:
        cases: of a DICOM folder.
        output: made if it does not exist.

    Returns:
        The modalities written, and the sentences of what failed, by case.

    Raises:
        UserError: ``output`` cannot be written.
    """
    written: dict[str, list[str]] = {}
    failed: dict[str, list[str]] = {}
    for case in cases:
        if "" in case.problems:
            failed[case.name] = [case.problems[""]]
        elif not case.files:
            failed[case.name] = [
                f"no description of a series of case {case.name} tells its modality: "
                "name the folder of each series when you segment, --images modality=FOLDER"
            ]
        for modality, (path, _) in case.files.items():
            try:
                if modality in case.problems:
                    raise UserError(case.problems[modality])
                volume = read_volume(path)
            except UserError as error:
                failed.setdefault(case.name, []).append(str(error))
                continue
            target = output / case.name / f"{modality}.nii.gz"
            write_volume(target, _smallest(volume.array), volume.header)
            written.setdefault(case.name, []).append(modality)
    return written, failed


def _smallest(array: NDArray[np.float32]) -> NDArray[np.float32] | NDArray[np.int16]:
    """As int16 where that loses nothing."""
    if np.array_equal(np.rint(array), array) and np.abs(array).max() < 2**15:
        return array.astype(np.int16)
    return array
