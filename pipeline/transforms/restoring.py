"""From logits on the working grid to targets on the grid of the input."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd, Transform
from torch import Tensor

from pipeline.errors import UserError, nearest
from pipeline.pieces import largest_piece
from pipeline.tasks import PAINT_ORDER, Task


class Restore(Transform):
    """Logits become binary targets on the grid of the input.

    Probabilities are resampled, not labels. Outside of what the network saw they are zero.

    Args:
        task: see ``pipeline.tasks.Task``.
        preprocessing: the transforms to undo.
        smallest: voxels that a target needs to be kept, by target; smaller totals become empty.
        largest: the target of which only the largest connected piece (26 neighbours) is kept, and
            of overlapping regions what lies in it; None keeps everything.

    Raises:
        UserError: a rule names no target of the task. One of glioma regions in ``smallest`` has no
            meaning for another task, and is left out.

    Shape:
        pred (out_channels, *working) -> (targets, *input); a label of class numbers (1, *input)
        becomes (targets, *input) too.
    """

    def __init__(
        self,
        task: Mapping[str, Any] | Task,
        preprocessing: Compose,
        smallest: Mapping[str, int] | None = None,
        largest: str | None = None,
    ) -> None:
        self.task = Task.of(task)
        self.invert = Invertd("pred", preprocessing, orig_keys="image", nearest_interp=False)
        named = {*(smallest or {}), *([largest] if largest else [])}
        for name in named - {*self.task.targets, *(region for region, _ in PAINT_ORDER)}:
            raise UserError(
                f"postprocessing names {name!r}, no target of the task: "
                f"{nearest(str(name), self.task.targets)}"
            )
        self.smallest = {
            name: needed for name, needed in (smallest or {}).items() if name in self.task.targets
        }
        self.largest = largest if largest in self.task.targets else None

    def __call__(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        restored = {**sample, "pred": self.targets(self.probabilities(sample))}
        if self.task.classes and sample.get("label") is not None:
            restored["label"] = self._one_hot(sample["label"][0])
        return restored

    def probabilities(self, sample: Mapping[str, Any]) -> Tensor:
        """Probabilities (out_channels, *input) of ``sample["pred"]``, which holds logits."""
        logits = sample["pred"].float()
        activated = logits.sigmoid() if self.task.regions else logits.softmax(dim=0)
        working: dict[Hashable, Any] = {"image": sample["image"], "pred": MetaTensor(activated)}
        return self.invert(working)["pred"].as_tensor()

    def targets(self, probabilities: Tensor) -> Tensor:
        """Binary targets (targets, *input)."""
        if self.task.regions:
            binary = probabilities >= 0.5
        else:
            binary = self._one_hot(probabilities.argmax(dim=0))
        if self.largest is not None:
            index = self.task.targets.index(self.largest)
            kept = slice(None) if self.task.regions else index
            binary[kept] &= _largest_piece(binary[index])
        for name, channel in zip(self.task.targets, binary, strict=True):
            if channel.sum() < self.smallest.get(name, 0):
                channel.zero_()
        return binary.float()

    def _one_hot(self, numbers: Tensor) -> Tensor:
        return torch.stack([numbers == 1 + i for i in range(len(self.task.targets))])


def _largest_piece(mask: Tensor) -> Tensor:
    return torch.from_numpy(largest_piece(mask.cpu().numpy())).to(mask.device)


def paint(targets: Tensor, task: Task, convention: str) -> Tensor:
    """A label map (*S) of uint8 from binary targets (targets, *S).

    Regions are painted WT, then TC, then ET, so that the file's nesting holds by construction.
    """
    values = task.values(convention)
    label = torch.zeros(targets.shape[1:], dtype=torch.uint8, device=targets.device)
    painted = PAINT_ORDER if task.regions else [(name, name) for name in task.targets]
    for target, value in painted:
        if target in task.targets:
            label[targets[task.targets.index(target)] > 0] = values[value]
    return label
