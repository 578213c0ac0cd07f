"""Cases that differ from their cohort in volume or intensity."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

LIMIT = 3.5
"""Beyond it a modified z-score is an outlier (Iglewicz and Hoaglin, 1993)."""

FEWEST = 5
"""Cases below which nothing can be called unusual."""

RULE = (
    f"A case is unusual if its modified z-score is beyond ±{LIMIT:g}: the distance from the "
    "cohort's median in median absolute deviations, times 0.6745 (Iglewicz and Hoaglin, 1993). "
    "Volumes are compared as their cube roots, intensities as the median of the voxels that are "
    f"not 0, in the units of the file. At least {FEWEST} cases are needed."
)


def unusual(
    volumes_ml: Mapping[str, Mapping[str, float]], intensities: Mapping[str, Mapping[str, float]]
) -> dict[str, list[str]]:
    """Sentences on what is unusual, by case, by the rule ``RULE``.

    Args:
        volumes_ml: case, then region: predicted millilitres.
        intensities: case, then modality: median of what is not background.
    """
    notes: dict[str, list[str]] = {}
    for region in _names(volumes_ml):
        known = {case: of[region] for case, of in volumes_ml.items() if region in of}
        scores = modified_z(np.cbrt(list(known.values())))
        for (case, value), z in zip(known.items(), scores, strict=True):
            if abs(z) > LIMIT:
                notes.setdefault(case, []).append(
                    f"predicted {region} has an unusual volume, {value:.1f} ml (z {z:+.1f})"
                )
    for modality in _names(intensities):
        known = {case: of[modality] for case, of in intensities.items() if modality in of}
        for (case, value), z in zip(known.items(), modified_z(list(known.values())), strict=True):
            if abs(z) > LIMIT:
                notes.setdefault(case, []).append(
                    f"{modality} has an unusual intensity, median {_short(value)} (z {z:+.1f})"
                )
    return notes


def modified_z(values: Sequence[float] | NDArray[np.floating]) -> NDArray[np.float64]:
    """How far each value lies from the median, in robust standard deviations.

    The median absolute deviation is the scale; where more than half of the values are equal it is
    0, and the mean absolute deviation takes its place. All are 0 where that is 0 too, and for
    fewer than ``FEWEST`` values.

    Examples:
        >>> modified_z([1, 2, 3, 4, 23]).round(2)
        array([-1.35, -0.67,  0.  ,  0.67, 13.49])
    """
    array = np.asarray(values, dtype=np.float64)
    if len(array) < FEWEST:
        return np.zeros_like(array)
    offsets = array - np.median(array)
    scale = np.median(np.abs(offsets)) / 0.6745 or np.mean(np.abs(offsets)) * 1.2533
    return offsets / scale if scale > 0 else np.zeros_like(array)


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _names(by_case: Mapping[str, Mapping[str, float]]) -> list[str]:
    return list(dict.fromkeys(name for of in by_case.values() for name in of))
