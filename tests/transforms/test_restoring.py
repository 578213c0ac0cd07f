from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy.spatial.transform import Rotation

from pipeline.errors import UserError
from pipeline.tasks import CONVENTIONS, Task
from pipeline.transforms import Restore, paint, preprocessing

REGIONS = {"modalities": ["ct"], "regions": ["TC", "WT", "ET"]}
CLASSES = {"modalities": ["ct"], "classes": ["background", "liver", "tumour"]}
SHAPE = (21, 26, 15)
SPACING = (1.3, 0.9, 2.1)  # mm
RADII = {"WT": 8.037, "TC": 6.041, "ET": 4.029}  # mm, not the distance of any voxel centre
LEAST_DICE = {"WT": 0.98, "TC": 0.97, "ET": 0.94}
"""After resampling; to be half a voxel (0.65 mm) off would cost 0.06, 0.08 and 0.12."""
OWN_GRID = {"foreground_margin": None, "intensity": None, "spacing": None}
TILT = Rotation.from_euler("xyz", (20, -35, 50), degrees=True).as_matrix()


def grid(axes=(0, 1, 2), signs=(1, 1, 1), turn=None, spacing=SPACING, shape=SHAPE):
    """An affine whose axes are permuted, flipped and turned, with the middle at 7, -3, 11 mm."""
    affine = np.eye(4)
    rotation = np.eye(3) if turn is None else turn
    affine[:3, :3] = rotation @ np.diag(signs)[:, list(axes)] @ np.diag(spacing)
    affine[:3, 3] = (7, -3, 11) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


ALL_ORIENTATIONS = [
    grid(axes, signs) for axes in permutations(range(3)) for signs in product((1, -1), repeat=3)
]
SHEAR = np.array([[1, 0.2, 0], [0, 1, 0.1], [0, 0, 1]])
TURNED = [
    grid(turn=TILT),
    grid((2, 0, 1), (1, -1, -1), TILT),
    grid((1, 0, 2), (-1, -1, 1), TILT.T),
    grid(turn=SHEAR),
]


def millimetres(shape, affine):
    """Where each voxel is, (*shape, 3)."""
    return np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]


def distance(shape, affine, centre=(8.5, -2, 10)):
    return np.linalg.norm(millimetres(shape, affine) - centre, axis=-1)


def load(folder, affine, recipe, task, shape=SHAPE, array=None):
    """The case on its working grid, and the transforms that brought it there."""
    path = folder / "a_ct.nii"
    array = np.ones(shape) if array is None else array
    nib.save(nib.Nifti1Image(array.astype(np.float32), affine), path)
    forward = preprocessing(OWN_GRID | recipe, task)
    sample = forward({"case": "a", "image": [(str(path), None)], "source": str(path)})
    return sample, forward


def answer(image, radii, centre=(8.5, -2, 10)):
    """Logits of a network that knows: positive within each radius, on the grid of ``image``."""
    away = distance(image.shape[1:], image.affine.numpy(), centre)
    return torch.from_numpy(np.stack([radius - away for radius in radii])).float()


def dice(first, second):
    first, second = np.asarray(first) > 0, np.asarray(second) > 0
    return 2 * (first & second).sum() / (first.sum() + second.sum())


def restored_regions(folder, affine, recipe, shape=SHAPE, array=None):
    sample, forward = load(folder, affine, recipe, REGIONS, shape, array)
    pred = answer(sample["image"], RADII.values())
    order = [list(RADII).index(name) for name in REGIONS["regions"]]
    return Restore(REGIONS, forward)(sample | {"pred": pred[order]})["pred"].numpy()


def truth(affine, shape=SHAPE):
    away = distance(shape, affine)
    return np.stack([away < RADII[name] for name in REGIONS["regions"]])


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "SAL"])
def test_from_every_orientation_each_voxel_comes_back_to_its_place(tmp_path, orientation):
    for affine in ALL_ORIENTATIONS:
        found = restored_regions(tmp_path, affine, {"orientation": orientation})
        assert np.array_equal(found, truth(affine))


@pytest.mark.parametrize("affine", TURNED)
def test_from_an_oblique_grid_each_voxel_comes_back_to_its_place(tmp_path, affine):
    assert np.array_equal(restored_regions(tmp_path, affine, {}), truth(affine))


@pytest.mark.parametrize("affine", TURNED)
def test_from_a_cropped_grid_each_voxel_comes_back_to_its_place(tmp_path, affine):
    head = distance(SHAPE, affine) < 10
    found = restored_regions(tmp_path, affine, {"foreground_margin": 1}, array=head)
    assert np.array_equal(found, truth(affine))


@pytest.mark.parametrize("affine", [grid(), grid((2, 0, 1), (1, -1, -1)), *TURNED[:3]])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 1.9, 1.1)])
@pytest.mark.parametrize("margin", [None, 2])
def test_from_a_resampled_grid_the_regions_come_back_to_their_place(
    tmp_path, affine, spacing, margin
):
    head = distance(SHAPE, affine) < 10
    recipe = {"spacing": spacing, "foreground_margin": margin}
    found = restored_regions(tmp_path, affine, recipe, array=head)
    assert found.shape == (3, *SHAPE)
    for name, region, reference in zip(REGIONS["regions"], found, truth(affine), strict=True):
        assert dice(region, reference) >= LEAST_DICE[name]


def test_a_region_reaches_the_edge_of_a_resampled_grid(tmp_path):
    sample, forward = load(tmp_path, grid(), {"spacing": (2.0, 2.0, 2.0)}, REGIONS)
    everywhere = torch.full((3, *sample["image"].shape[1:]), 5.0)
    assert Restore(REGIONS, forward)(sample | {"pred": everywhere})["pred"].all()


@pytest.mark.parametrize("spacing", [None, (2.0, 2.0, 2.0)])
@pytest.mark.parametrize("task", [REGIONS, CLASSES])
def test_outside_of_what_the_network_saw_is_background_of_probability_zero(tmp_path, task, spacing):
    array = np.zeros(SHAPE)
    array[8:12, 9:16, 5:9] = 1
    recipe = {"foreground_margin": 0, "spacing": spacing}
    sample, forward = load(tmp_path, grid(), recipe, task, array=array)
    restore = Restore(task, forward)
    sample["pred"] = torch.zeros(3, *sample["image"].shape[1:])  # undecided everywhere
    probabilities = restore.probabilities(sample).numpy()
    assert probabilities.shape == (3, *SHAPE)
    assert not probabilities[:, array == 0].any()
    inside = 1 / 2 if task is REGIONS else 1 / 3
    assert probabilities[:, array == 1] == pytest.approx(inside, abs=1e-6)
    targets = restore(sample)["pred"].numpy()
    assert not targets[:, array == 0].any()
    assert targets[:, array == 1].all() == (task is REGIONS)


def test_probabilities_are_resampled_not_labels(tmp_path):
    """Half-way between a sure and an unsure voxel the region ends nearer to the unsure one."""
    line = (9, 3, 3)
    sample, forward = load(
        tmp_path, np.eye(4), {"spacing": (4.0, 1.0, 1.0)}, {**REGIONS, "regions": ["WT"]}, line
    )
    pred = torch.tensor([0.9, 0.3, 0.0])[None, :, None, None].expand(1, 3, 3, 3).logit(eps=1e-6)
    restore = Restore({**REGIONS, "regions": ["WT"]}, forward)
    found = restore.probabilities({"image": sample["image"], "pred": pred})[0, :, 1, 1]
    expected = [0.9, 0.75, 0.6, 0.45, 0.3, 0.225, 0.15, 0.075, 0]
    assert found.tolist() == pytest.approx(expected, abs=1e-5)


def test_exclusive_classes_are_those_of_the_largest_probability(tmp_path):
    affine = TURNED[1]
    sample, forward = load(tmp_path, affine, {}, CLASSES)
    away = distance(sample["image"].shape[1:], sample["image"].affine.numpy())
    pred = torch.from_numpy(np.stack([away - 6.05, 0 * away, 4 * (3.05 - away)])).float()
    found = Restore(CLASSES, forward)(sample | {"pred": pred})["pred"].numpy()
    # The tumour wins where 4 * (3.05 - away) > 0, the background from 6.05 mm on.
    away = distance(SHAPE, affine)
    assert np.array_equal(found, np.stack([(away > 3.05) & (away < 6.05), away < 3.05]))


def test_a_label_of_class_numbers_becomes_one_target_a_class(tmp_path):
    sample, forward = load(tmp_path, grid(), {}, CLASSES)
    label = torch.zeros(1, *SHAPE)
    label[0, 0, 0, :3] = torch.tensor([0.0, 1.0, 2.0])
    pred = torch.zeros(3, *sample["image"].shape[1:])
    found = Restore(CLASSES, forward)(sample | {"pred": pred, "label": label})["label"]
    assert found.shape == (2, *SHAPE)
    assert found[:, 0, 0, :3].tolist() == [[0, 1, 0], [0, 0, 1]]
    assert found.sum() == 2


def test_a_label_of_regions_stays_as_it_is(tmp_path):
    sample, forward = load(tmp_path, grid(), {}, REGIONS)
    label, pred = torch.rand(3, *SHAPE), torch.zeros(3, *sample["image"].shape[1:])
    restored = Restore(REGIONS, forward)(sample | {"pred": pred, "label": label})
    assert torch.equal(restored["label"], label)


@pytest.mark.parametrize(("voxels", "kept"), [(5, True), (6, False)])
@pytest.mark.parametrize("task", [REGIONS, CLASSES])
def test_a_target_smaller_than_asked_for_becomes_empty(tmp_path, task, voxels, kept):
    _, forward = load(tmp_path, grid(), {}, task)
    name = "ET" if task is REGIONS else "tumour"
    restore = Restore(task, forward, smallest={name: voxels})
    probabilities = torch.zeros(3, *SHAPE)
    probabilities[1, 5] = 0.9
    probabilities[2, 0, 0, :5] = 0.9
    targets = dict(zip(Task.of(task).targets, restore.targets(probabilities), strict=True))
    assert targets[name].sum() == (5 if kept else 0)
    other = "WT" if task is REGIONS else "liver"
    assert targets[other].sum() == SHAPE[1] * SHAPE[2]


@pytest.mark.parametrize("rule", [{"smallest": {"tumor": 5}}, {"largest": "tumor"}])
def test_a_rule_for_no_target_of_the_task_is_refused_with_the_nearest(tmp_path, rule):
    _, forward = load(tmp_path, grid(), {}, CLASSES)
    with pytest.raises(UserError, match=r"names 'tumor', no target of the task: .*tumour"):
        Restore(CLASSES, forward, **rule)


@pytest.mark.parametrize("task", [REGIONS, CLASSES])
def test_only_the_largest_piece_is_kept_and_of_regions_what_lies_in_it(tmp_path, task):
    _, forward = load(tmp_path, grid(), {}, task)
    names = Task.of(task).targets
    large, other = ("WT", "ET") if task is REGIONS else ("liver", "tumour")
    probabilities = torch.zeros(3, *SHAPE)
    of = {name: Task.of(task).out_channels - len(names) + i for i, name in enumerate(names)}
    probabilities[of[large], :2] = 0.9
    probabilities[of[large], 4, 0, 0] = 0.9  # an island
    probabilities[of[other], 4, 0, 1] = 0.95  # beside the island
    found = Restore(task, forward, largest=large).targets(probabilities)
    targets = dict(zip(names, found, strict=True))
    assert targets[large].sum() == 2 * SHAPE[1] * SHAPE[2]
    assert targets[other].sum() == (0 if task is REGIONS else 1)


def test_targets_are_plain_numbers_of_zero_and_one(tmp_path):
    sample, forward = load(tmp_path, grid(), {"spacing": (2.0, 2.0, 2.0)}, REGIONS)
    pred = torch.randn(3, *sample["image"].shape[1:])
    found = Restore(REGIONS, forward)(sample | {"pred": pred})["pred"]
    assert found.dtype == torch.float32
    assert not isinstance(found, MetaTensor)
    assert set(found.unique().tolist()) == {0, 1}


def test_half_precision_logits_are_restored(tmp_path):
    sample, forward = load(tmp_path, grid(), {"spacing": (2.0, 2.0, 2.0)}, REGIONS)
    pred = torch.full((3, *sample["image"].shape[1:]), 3.0, dtype=torch.float16)
    assert Restore(REGIONS, forward).probabilities(sample | {"pred": pred}).dtype == torch.float32


# Along a line: nothing, then TC, WT and ET alone, then each properly nested.
ALONE = torch.tensor([[0, 1, 0, 0, 0, 1, 1], [0, 0, 1, 0, 1, 1, 1], [0, 0, 0, 1, 0, 0, 1]])
PAINTED = ["background", "core", "oedema", "enhancing", "oedema", "core", "enhancing"]


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_innermost_region_says_what_is_painted(convention):
    label = paint(ALONE, Task.of(REGIONS), convention)
    values = {"background": 0, **CONVENTIONS[convention]}
    assert label.dtype == torch.uint8
    assert label.tolist() == [values[tissue] for tissue in PAINTED]


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_painted_regions_read_back_are_nested(convention):
    label = paint(ALONE, Task.of(REGIONS), convention).numpy()
    values = Task.of(REGIONS).target_values(convention)
    core, whole, enhancing = (np.isin(label, values[name]) for name in ("TC", "WT", "ET"))
    assert (enhancing <= core).all()
    assert (core <= whole).all()
    nested = slice(4, None)
    assert np.array_equal(np.stack([core, whole, enhancing])[:, nested], ALONE[:, nested] > 0)


def test_the_order_of_the_regions_in_the_task_does_not_matter():
    task = Task(("ct",), regions=("ET", "TC", "WT"))
    painted = paint(ALONE[[2, 0, 1]], task, "brats2023")
    assert torch.equal(painted, paint(ALONE, Task.of(REGIONS), "brats2023"))


def test_a_task_without_a_region_paints_the_others():
    task = Task(("ct",), regions=("WT", "TC"))
    assert paint(ALONE[[1, 0]], task, "msd_brats").tolist() == [0, 2, 1, 0, 1, 2, 2]


def test_classes_are_painted_as_their_numbers():
    targets = torch.tensor([[0, 1, 0], [0, 0, 1]])
    assert paint(targets, Task.of(CLASSES), "classes").tolist() == [0, 1, 2]
