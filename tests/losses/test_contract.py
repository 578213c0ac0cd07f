"""What every loss promises."""

from operator import itemgetter

import pytest
import torch
from monai.data import MetaTensor

from pipeline.losses import (
    AutoencoderLoss,
    ByTask,
    CrossEntropy,
    DeepSupervision,
    DiceCrossEntropy,
    Hybrid,
    LovaszFocal,
    Presence,
    SoftDice,
)
from pipeline.networks import Autoencoded, Guided

REGIONS = {"modalities": ["ct"], "regions": ["TC", "WT", "ET"]}
CLASSES = {"modalities": ["ct"], "classes": ["background", "liver", "tumour"]}

OF_LOGITS = {
    "dice": SoftDice,
    "cross_entropy": CrossEntropy,
    "dice_cross_entropy": DiceCrossEntropy,
    "hybrid": Hybrid,
    "by_task": lambda task=None: ByTask(DiceCrossEntropy(task), DiceCrossEntropy(task)),
}
WEIGHTED = {
    "deep_supervision": lambda task: DeepSupervision(DiceCrossEntropy(task), weights=(2, 1)),
    "presence": lambda task: Presence(DeepSupervision(SoftDice(task)), weight=0.5),
    "autoencoder": AutoencoderLoss,
}
MEANS_OF_SAMPLES = OF_LOGITS | WEIGHTED
LOSSES = MEANS_OF_SAMPLES | {"lovasz_focal": LovaszFocal}

PAIRS = [
    (name, task)
    for name in LOSSES
    for task in (REGIONS, CLASSES)
    if (name, task) != ("lovasz_focal", REGIONS)
]
each_loss = pytest.mark.parametrize(
    ("name", "task"), PAIRS, ids=[f"{name}-{[*task][1]}" for name, task in PAIRS]
)
each_grid = pytest.mark.parametrize("spatial", [(22, 24), (11, 12, 11)], ids=["2d", "3d"])


def output_and_target(name, task, spatial=(22, 24), seed=0):
    """Two samples of what the network of this loss gives in training, and what it should give."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(2, *shape, generator=generator).requires_grad_()

    channels = 1 if "classes" in task else 3
    highest = 3 if "classes" in task else 2
    label = torch.randint(highest, (2, channels, *spatial), generator=generator).float()
    if name == "deep_supervision":
        return [draw(3, *spatial), draw(3, *spatial)], label
    if name == "presence":
        return Guided([draw(3, *spatial), draw(3, *spatial)], draw(3, 2)), label
    if name == "autoencoder":
        image = torch.randn(2, 4, *spatial, generator=generator)
        return Autoencoded(draw(3, *spatial), draw(4, *spatial), draw(8), draw(8)), (label, image)
    return draw(3, *spatial), label


def each_tensor(nested, change):
    """``nested`` with each tensor changed."""
    if isinstance(nested, torch.Tensor):
        return change(nested)
    changed = [each_tensor(part, change) for part in nested]
    return type(nested)(*changed) if hasattr(nested, "_fields") else type(nested)(changed)


def each_sample(nested):
    """``nested`` with the first sample alone, and with the second alone."""
    return [each_tensor(nested, itemgetter(slice(first, first + 1))) for first in (0, 1)]


def tensors(nested):
    found = []
    each_tensor(nested, found.append)
    return found


@each_loss
@each_grid
def test_gradients_reach_every_output(name, task, spatial):
    output, target = output_and_target(name, task, spatial)
    value = LOSSES[name](task)(output, target)
    assert value.shape == ()
    value.backward()
    for tensor in tensors(output):
        assert tensor.grad.isfinite().all()
        assert tensor.grad.abs().amax() > 0


@pytest.mark.parametrize(("name", "task"), [pair for pair in PAIRS if pair[0] in MEANS_OF_SAMPLES])
@each_grid
def test_a_batch_costs_the_mean_of_its_samples(name, task, spatial):
    loss = LOSSES[name](task)
    output, target = output_and_target(name, task, spatial)
    together = loss(output, target).item()
    samples = zip(each_sample(output), each_sample(target), strict=True)
    apart = [loss(*sample).item() for sample in samples]
    assert apart[0] != apart[1]
    assert together == pytest.approx(sum(apart) / 2, rel=1e-6)


@each_loss
def test_autocast_changes_nothing(name, task):
    loss = LOSSES[name](task)
    output, target = output_and_target(name, task)
    value = loss(output, target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert loss(output, target) == value


@each_loss
def test_half_precision_outputs_give_a_finite_loss_in_single_precision(name, task):
    output, target = output_and_target(name, task)
    half = each_tensor(output, lambda tensor: (8 * tensor.detach()).half().requires_grad_())
    value = LOSSES[name](task)(half, target)
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite()
    assert all(tensor.grad.isfinite().all() for tensor in tensors(half))


@each_loss
def test_parts_are_scalars_without_gradient(name, task):
    loss = LOSSES[name](task)
    loss(*output_and_target(name, task))
    assert len(loss.parts) > 0
    for part in loss.parts.values():
        assert part.shape == ()
        assert not part.requires_grad


@each_loss
def test_tensors_that_carry_metadata_cost_the_same(name, task):
    loss = LOSSES[name](task)
    output, target = output_and_target(name, task)
    value = loss(output, target)
    with_metadata = loss(each_tensor(output, MetaTensor), each_tensor(target, MetaTensor))
    assert type(with_metadata) is torch.Tensor
    assert with_metadata == value


@pytest.mark.parametrize("name", list(OF_LOGITS))
@pytest.mark.parametrize("task", [REGIONS, CLASSES])
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64])
def test_labels_of_whole_numbers_count_like_floats(name, task, dtype):
    loss = OF_LOGITS[name](task)
    logits, label = output_and_target(name, task)
    label = label.clamp(max=1)
    assert loss(logits, label.to(dtype)) == loss(logits, label)


@pytest.mark.parametrize("name", list(OF_LOGITS))
@pytest.mark.parametrize("task", [REGIONS, CLASSES])
def test_without_a_task_the_shape_of_the_label_tells_regions_from_classes(name, task):
    logits, label = output_and_target(name, task)
    assert OF_LOGITS[name]()(logits, label) == OF_LOGITS[name](task)(logits, label)


@each_loss
def test_the_answer_costs_less_than_its_opposite(name, task):
    output, target = output_and_target(name, task)
    label = target[0] if isinstance(target, tuple) else target
    truth = label if "regions" in task else (label == torch.arange(3).reshape(1, 3, 1, 1)).float()
    certain = 20 * (2 * truth - 1)

    def answer(sign):
        def change(tensor):
            return sign * certain if tensor.shape == certain.shape else tensor

        return each_tensor(output, change)

    loss = LOSSES[name](task)
    assert loss(answer(1), target) < loss(answer(-1), target)
