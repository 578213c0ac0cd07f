import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import affine_to_spacing

from pipeline.errors import UserError
from pipeline.recipe import Recipe
from pipeline.transforms import preprocessing

TASK = {"modalities": ["flair", "t1"], "regions": ["WT"]}
NOTHING = {"foreground_margin": None, "intensity": None, "orientation": "LPS", "spacing": None}
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def prepare(folder, arrays, recipe, affine=LPS, keys=("image", "label"), label=None):
    """What becomes of the modalities in ``arrays`` and of the label, by default the first > 0."""
    label = (arrays[0] > 0) * 3 if label is None else label
    paths = []
    for name, array in zip(("flair", "t1", "seg"), (*arrays, label), strict=True):
        paths.append(str(folder / f"a_{name}.nii"))
        nib.save(nib.Nifti1Image(np.asarray(array, np.float32), affine), paths[-1])
    *images, seg = paths
    record = {
        "case": "a",
        "image": [(path, None) for path in images],
        "source": images[0],
        "label": seg,
        "convention": "brats2023",
    }
    return preprocessing(recipe, TASK, keys)(record)


def block(shape, start, stop, seed=0):
    """Positive noise in a box and zero around it."""
    array = np.zeros(shape)
    inside = tuple(slice(*ends) for ends in zip(start, stop, strict=True))
    size = np.subtract(stop, start)
    array[inside] = np.random.default_rng(seed).uniform(50, 150, size)
    return array


def test_a_recipe_that_asks_for_nothing_changes_nothing(tmp_path):
    arrays = [block((6, 7, 8), (1, 2, 3), (4, 5, 6), seed) for seed in (0, 1)]
    prepared = prepare(tmp_path, arrays, NOTHING)
    assert np.array_equal(prepared["image"].numpy(), np.stack(arrays).astype(np.float32))
    assert np.array_equal(prepared["image"].affine.numpy(), LPS)


def test_each_modality_has_mean_0_and_deviation_1_over_its_own_non_zero_voxels(tmp_path):
    first, second = block((6, 6, 6), (0, 0, 0), (4, 4, 4)), block((6, 6, 6), (2, 2, 2), (6, 6, 6))
    recipe = NOTHING | {"intensity": "nonzero_zscore"}
    prepared = prepare(tmp_path, [first, 1000 + 7 * second * (second > 0)], recipe)["image"]
    for channel, array in zip(prepared.numpy(), (first, np.ones_like(second)), strict=True):
        inside = channel[array != 0]
        assert inside.mean() == pytest.approx(0, abs=1e-5)
        assert inside.std() == pytest.approx(1, abs=1e-5)
        assert not channel[array == 0].any()


def test_z_scores_are_those_of_the_file_not_of_the_resampled_image(tmp_path):
    array = block((8, 8, 8), (2, 2, 2), (6, 6, 6))
    recipe = NOTHING | {"intensity": "nonzero_zscore", "spacing": (2.0, 2.0, 2.0)}
    prepared = prepare(tmp_path, [array, array], recipe, keys=("image",))["image"][0]
    inside = array[array > 0]
    scores = np.where(array > 0, (array - inside.mean()) / inside.std(), 0)
    # Doubling the spacing from voxel 0 on keeps every other voxel.
    assert prepared.numpy() == pytest.approx(scores[::2, ::2, ::2], abs=1e-5)


@pytest.mark.parametrize(
    ("margin", "shape", "first"), [(0, (3, 4, 2), 0), (1, (5, 6, 4), 1), (4, (11, 11, 8), 4)]
)
def test_the_margin_lies_around_the_non_zero_voxels_up_to_the_edge(tmp_path, margin, shape, first):
    array = block((12, 12, 12), (4, 3, 8), (7, 7, 10))
    recipe = NOTHING | {"foreground_margin": margin}
    prepared = prepare(tmp_path, [array, 0 * array], recipe)
    assert prepared["image"].shape == (2, *shape)
    assert prepared["label"].shape == (1, *shape)
    assert not prepared["image"][0, :first].any()
    assert prepared["image"][0, first].any()


def test_the_box_holds_every_modality_and_negative_voxels_too(tmp_path):
    first, second = np.zeros((9, 9, 9)), np.zeros((9, 9, 9))
    first[4, 4, 4] = 5
    second[2, 4, 7] = -5
    recipe = NOTHING | {"foreground_margin": 0}
    assert prepare(tmp_path, [first, second], recipe)["image"].shape == (2, 3, 1, 4)


def test_the_working_grid_has_the_orientation_of_the_recipe(tmp_path):
    array = block((4, 5, 6), (0, 0, 0), (4, 5, 6))
    # Axes of the file: inferior, right, anterior.
    affine = np.array([[0, 2.0, 0, 0], [0, 0, 3.0, 0], [-1.0, 0, 0, 0], [0, 0, 0, 1]])
    prepared = prepare(tmp_path, [array, array], NOTHING | {"orientation": "RAS"}, affine)
    expected = array.transpose(1, 2, 0)[:, :, ::-1].astype(np.float32)
    assert np.array_equal(prepared["image"][0].numpy(), expected)
    assert nib.aff2axcodes(prepared["image"].affine.numpy()) == ("R", "A", "S")
    assert np.array_equal(prepared["label"][0].numpy(), expected > 0)


def test_the_working_grid_has_the_spacing_of_the_recipe_and_labels_stay_binary(tmp_path):
    array = block((8, 9, 6), (2, 2, 1), (6, 7, 5))
    recipe = NOTHING | {"spacing": (1.5, 1.0, 2.0)}
    prepared = prepare(tmp_path, [array, array], recipe, np.diag([-1, -2, 3, 1.0]))
    for key in ("image", "label"):
        assert affine_to_spacing(prepared[key].affine).tolist() == pytest.approx([1.5, 1, 2])
    assert prepared["image"].shape == (2, 6, 17, 8)  # 7 / 1.5, 16 / 1 and 15 / 2 steps, and one
    assert set(prepared["label"].unique().tolist()) == {0, 1}


def test_a_label_that_is_not_named_stays_on_its_own_grid(tmp_path):
    array = block((8, 9, 6), (2, 2, 1), (6, 7, 5))
    recipe = {"foreground_margin": 1, "orientation": "RAS", "spacing": (2.0, 2.0, 2.0)}
    label = prepare(tmp_path, [array, array], recipe, keys=("image",))["label"]
    assert np.array_equal(label[0].numpy(), array > 0)
    assert np.array_equal(label.affine.numpy(), LPS)


def test_the_default_recipe_is_that_of_skull_stripped_mr(tmp_path):
    array = block((30, 30, 30), (14, 14, 14), (16, 16, 16))
    prepared = prepare(tmp_path, [array, array], {})["image"]
    assert prepared.shape == (2, 2, 2, 2)
    assert nib.aff2axcodes(prepared.affine.numpy()) == ("R", "A", "S")
    assert torch.count_nonzero(prepared[0]) == 8
    assert prepared[0].sum() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"orientaton": "RAS"}, r"no entry 'orientaton': did you mean orientation\?"),
        ({"intensity": "minmax"}, "unknown intensity 'minmax': nonzero_zscore"),
        ({"spacing": 2}, "spacing 2 is no list of numbers: give three in mm"),
        ({"spacing": ["a", 1, 1]}, "is no list of numbers"),
        ({"foreground_margin": 1.5}, "foreground_margin 1.5: give a whole number of voxels"),
        ({"orientation": "RAR"}, "unknown orientation 'RAR': name three axes"),
    ],
)
def test_a_mistaken_recipe_ends_in_a_sentence(entry, sentence):
    with pytest.raises(UserError, match=sentence):
        Recipe.of(entry)
