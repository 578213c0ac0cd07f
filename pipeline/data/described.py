"""The task that a ``dataset.json`` describes, of the decathlon (MSD) or of nnU-Net."""

import json
from pathlib import Path

from pipeline.errors import UserError
from pipeline.tasks import Task


def described_task(root: Path) -> Task | None:
    """Modalities and exclusive classes that ``root / "dataset.json"`` names, if it does.

    Of a folder of images of nnU-Net, such as ``imagesTs``, it is the file beside that counts.

    Source: the format of MSD (Antonelli et al., 2022) and version 2 of that of nnU-Net.
    """
    root = root.absolute()
    file = root / "dataset.json"
    if not file.is_file() and root.name.startswith("images"):
        file = root.parent / "dataset.json"
    try:
        content = json.loads(file.read_text())
        named = content.get("channel_names") or content["modality"]
        labels = content["labels"]
        if all(isinstance(value, int) for value in labels.values()):
            labels = {str(value): name for name, value in labels.items()}
        modalities = [named[str(index)] for index in range(len(named))]
        classes = [labels[str(value)] for value in range(len(labels))]
        return Task.of({"modalities": modalities, "classes": classes})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, UserError):
        return None
