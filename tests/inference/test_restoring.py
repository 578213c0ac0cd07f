"""Probabilities that come plane by plane lie where MONAI's inverse puts them."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor

from pipeline.data.cases import Case, Cohort
from pipeline.errors import UserError
from pipeline.inference.grid import Grid, working_grid
from pipeline.inference.listener import SavePredictions
from pipeline.inference.restoring import activated, native_planes
from pipeline.recipe import Recipe
from pipeline.tasks import Task
from pipeline.transforms import Restore
from tests.inference.bright import ORIENTATIONS, grid
from tests.inference.on_working_grids import TASK, stock
from tests.inference.test_preparing import ANGLES, CODES, FIXED, SHAPES, SHEARED, SPACINGS

CLASSES = Task(("mri",), classes=("background", "first", "second"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("task", [TASK, CLASSES])
def test_logits_that_are_not_finite_are_no_background(task, value):
    logits = np.zeros((1, task.out_channels, 2, 2), np.float32)
    logits[0, 1, 1, 1] = value
    with pytest.raises(UserError, match="numbers that are not finite: its weights are damaged"):
        activated(logits, task)


def test_monais_own_command_refuses_such_logits_too(tmp_path):
    listener = SavePredictions(TASK, Cohort(tmp_path, "classes", ()), str(tmp_path))
    state = SimpleNamespace(output={"pred": torch.full((1, 3, 2, 2, 2), np.nan)})
    with pytest.raises(UserError, match="numbers that are not finite"):
        listener.check(SimpleNamespace(state=state))


def test_monais_own_command_never_writes_over_a_label(tmp_path):
    case = Case("a", ((tmp_path / "images/a.nii.gz", None),))
    cohort = Cohort(tmp_path, "brats2018", (case,), labels=(tmp_path / "labelsTs/a.nii.gz",))
    listener = SavePredictions(TASK, cohort, str(tmp_path / "labelsTs"))
    with pytest.raises(UserError, match="prediction of a would replace one"):
        listener.begin(SimpleNamespace())


def stored(volume: np.ndarray, lying: Grid) -> np.ndarray:
    """A volume (K, *working) as planes (N, K, P, Q)."""
    return np.moveaxis(volume, 1 + lying.slab_axis, 0)


def restored(lying: Grid, logits: np.ndarray, task: Task, thickness: int) -> np.ndarray:
    """Probabilities (K, *native) of logits (K, *working), in blocks of ``thickness`` planes."""
    planes = stored(logits, lying)
    blocks = (
        (first, activated(planes[first : first + thickness], task))
        for first in range(0, len(planes), thickness)
    )
    volume = np.zeros((len(logits), *lying.native_shape), np.float32)
    visited = []
    for z, plane in native_planes(lying, blocks):
        volume[..., z] = plane
        visited.append(z)
    assert sorted(visited) == list(range(*lying.box[2]))
    assert visited in (sorted(visited), sorted(visited, reverse=True))
    return volume


def assert_alike(array: np.ndarray, affine: np.ndarray, recipe: dict, task: Task = TASK) -> None:
    tensor = MetaTensor(torch.from_numpy(array[None].copy()), affine=torch.from_numpy(affine))
    steps = stock(recipe, task)
    sample = steps({"image": tensor})
    random = np.random.default_rng(0)
    logits = random.normal(0, 4, (task.out_channels, *sample["image"].shape[1:]))
    logits = logits.astype(np.float32)
    pred = torch.from_numpy(logits)
    expected = Restore(task, steps).probabilities({"image": sample["image"], "pred": pred})
    margin, found = recipe.get("foreground_margin", 0), np.argwhere(array)
    box = [(0, size) for size in array.shape]
    if margin is not None:
        lows, highs = np.maximum(found.min(0) - margin, 0), found.max(0) + margin + 1
        box = list(zip(lows.tolist(), np.minimum(highs, array.shape).tolist(), strict=True))
    lying = working_grid(affine, array.shape, box, Recipe.of(recipe))
    ours = restored(lying, logits, task, thickness=3)
    np.testing.assert_allclose(ours, expected.numpy(), atol=2e-6)
    np.testing.assert_array_equal(ours, restored(lying, logits, task, thickness=1))


def spots(shape: tuple[int, ...], seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    array = (random.random(shape) < 0.02).astype(np.float32)
    array.flat[random.integers(array.size)] = 1
    return array


@settings(FIXED, max_examples=60)
@given(
    orientation=st.sampled_from(ORIENTATIONS),
    spacing=SPACINGS,
    angles=ANGLES,
    shape=SHAPES,
    codes=CODES,
    working=st.none() | SPACINGS,
    margin=st.none() | st.integers(0, 9),
    seed=st.integers(0, 99),
)
def test_on_any_grid_probabilities_lie_where_monai_puts_them(
    orientation, spacing, angles, shape, codes, working, margin, seed
):
    recipe = {"foreground_margin": margin, "orientation": codes, "spacing": working}
    assert_alike(spots(shape, seed), grid(orientation, spacing, angles), recipe)


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
def test_from_each_orientation_classes_lie_where_monai_puts_them(orientation):
    array = np.pad(spots((4, 7, 5), seed=1), ((3, 9), (0, 4), (6, 1)))
    recipe = {"foreground_margin": 2, "spacing": (1.1, 0.7, 3.0)}
    assert_alike(array, grid(orientation, (0.9, 1.3, 2.5), (20, -35, 50)), recipe, CLASSES)


@pytest.mark.parametrize("codes", ["RAS", "SAL", "PIR"])
def test_on_axes_that_are_not_rectangular_they_lie_where_monai_puts_them(codes):
    recipe = {"orientation": codes, "spacing": (2.0, 3.0, 0.8)}
    assert_alike(spots((9, 12, 11), seed=2), SHEARED, recipe)


def test_without_resampling_probabilities_come_back_as_they_are():
    lying = working_grid(np.diag([-1, -1, 2, 1]), (6, 7, 8), [(1, 5), (2, 7), (0, 6)], Recipe())
    logits = np.random.default_rng(0).normal(size=(3, 4, 5, 6)).astype(np.float32)
    volume = restored(lying, logits, CLASSES, thickness=2)
    expected = activated(stored(logits, lying), CLASSES).transpose(1, 2, 3, 0)
    np.testing.assert_array_equal(volume[:, 1:5, 2:7, :6], expected[:, ::-1, ::-1])
    assert np.count_nonzero(volume) == expected.size


def test_no_block_is_held_when_the_next_one_is_made():
    shape = (80, 80, 64)
    lying = working_grid(np.eye(4), shape, [(0, size) for size in shape], Recipe())
    blocks = ((first, np.ones((8, 2, 80, 80), np.float32)) for first in range(0, 64, 8))
    tracemalloc.start()
    for _ in native_planes(lying, blocks):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * 8 * 2 * 80 * 80 * 4


@pytest.mark.parametrize("task", [TASK, CLASSES])
def test_activation_is_that_of_torch_and_bears_large_logits(task):
    random = np.random.default_rng(0)
    logits = random.normal(0, 200, (5, task.out_channels, 4, 3)).astype(np.float32)
    tensor = torch.from_numpy(logits)
    expected = tensor.sigmoid() if task.regions else tensor.softmax(dim=1)
    found = activated(logits, task)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)
