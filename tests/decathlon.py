"""A small cohort in the layout of the Medical Segmentation Decathlon."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np


def write_decathlon(root: Path, count: int, prefix: str = "s") -> Path:
    """Cases of one modality and two structures, the second above the first."""
    entries = []
    for i in range(count):
        label = np.zeros((20, 18, 22), np.uint8)
        label[6:14, 5:12, 4 + i : 10] = 1
        label[6:14, 5:12, 12:18] = 2
        noise = np.random.default_rng(i).normal(100, 5, label.shape)
        names = {"image": f"imagesTr/{prefix}_{i}.nii.gz", "label": f"labelsTr/{prefix}_{i}.nii.gz"}
        for key, array in (("image", noise + 60 * label), ("label", label)):
            (root / names[key]).parent.mkdir(parents=True, exist_ok=True)
            image = nib.Nifti1Image(array.astype(np.int16), np.diag([1, 1.5, 1, 1]))
            nib.save(image, root / names[key])
        entries.append({key: f"./{name}" for key, name in names.items()})
    content = {"modality": {"0": "MRI"}, "training": entries}
    (root / "dataset.json").write_text(json.dumps(content))
    return root
