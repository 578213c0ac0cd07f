import pytest
import torch
from monai.data import MetaTensor

from pipeline.errors import UserError
from pipeline.transforms import augmentation, patches


def sample(label, spatial=None):
    """Voxel numbers as the image, so that a patch says where it is from."""
    spatial = spatial or label.shape[1:]
    numbers = 1.0 + torch.arange(spatial.numel()).reshape(1, *spatial)
    return {"image": MetaTensor(numbers), "label": MetaTensor(label)}


def one_voxel(place, channel=0, channels=1, shape=(9, 9, 9)):
    label = torch.zeros(channels, *shape)
    label[(channel, *place)] = 1
    return label


def draw(transform, data, seed=0):
    return transform.set_random_state(seed=seed)(data)


def test_image_and_label_are_cut_at_the_same_place():
    data = sample(one_voxel((3, 5, 6)))
    for seed in range(5):
        (patch,) = draw(patches((4, 3, 2)), data, seed)
        assert patch["image"].shape == patch["label"].shape == (1, 4, 3, 2)
        number = 1 + (3 * 9 + 5) * 9 + 6
        assert torch.equal(patch["image"] == number, patch["label"] == 1)


@pytest.mark.parametrize(("channel", "channels"), [(0, 1), (0, 2), (1, 2), (0, 3), (2, 3)])
def test_patches_of_the_foreground_are_centred_on_any_target(channel, channels):
    data = sample(one_voxel((3, 5, 4), channel, channels))
    for patch in draw(patches((3, 3, 3), per_case=5, foreground=1.0), data):
        assert patch["label"][channel, 1, 1, 1] == 1


def test_patches_of_the_background_are_centred_off_the_targets():
    data = sample(one_voxel((4, 4, 4), channels=2))
    for patch in draw(patches((3, 3, 3), per_case=20, foreground=0.0), data):
        assert patch["label"][0, 1, 1, 1] == 0


def test_the_fraction_of_the_foreground_is_that_of_the_centres():
    data = sample(one_voxel((4, 4, 4)))
    found = draw(patches((3, 3, 3), per_case=400, foreground=0.25), data)
    centred = sum(int(patch["label"][0, 1, 1, 1]) for patch in found)
    assert 70 <= centred <= 130  # 100 expected, deviation 9


def test_class_numbers_are_foreground_from_one_on():
    data = sample(2 * one_voxel((2, 2, 2)))
    (patch,) = draw(patches((3, 3, 3), foreground=1.0), data)
    assert patch["label"][0, 1, 1, 1] == 2


def test_a_target_at_the_edge_gives_a_whole_patch():
    data = sample(one_voxel((0, 8, 0)))
    (patch,) = draw(patches((4, 4, 4), foreground=1.0), data)
    assert patch["label"].shape == (1, 4, 4, 4)
    assert patch["label"].sum() == 1


def test_a_small_case_is_padded_with_zeros_on_both_sides():
    (patch,) = draw(patches((5, 3, 3)), sample(one_voxel((1, 1, 1), shape=(3, 3, 3))))
    assert patch["image"].shape == patch["label"].shape == (1, 5, 3, 3)
    assert not patch["image"][0, [0, 4]].any()
    assert patch["image"][0, 1:4].flatten().tolist() == list(range(1, 28))
    assert patch["label"][0, 2, 1, 1] == 1


def test_a_patch_holds_image_and_label_alone():
    patch, *others = draw(patches((3, 3, 3), per_case=3), sample(one_voxel((4, 4, 4))))
    assert set(patch) == {"image", "label"}
    assert len(others) == 2


def test_a_seed_draws_the_same_patches():
    data, transform = sample(one_voxel((4, 4, 4))), patches((3, 3, 3), per_case=4)
    first, again, other = (draw(transform, data, seed) for seed in (0, 0, 1))
    corners = [[patch["image"][0, 0, 0, 0].item() for patch in each] for each in (first, again)]
    assert corners[0] == corners[1]
    assert corners[0] != [patch["image"][0, 0, 0, 0].item() for patch in other]


def slices(patch_size, **options):
    return patches(patch_size, spatial_dims=2, **options)


def test_a_patch_of_a_slice_lies_across_the_last_axis_of_the_volume():
    data = sample(one_voxel((3, 5, 6)))
    (patch,) = draw(slices((4, 3)), data)
    assert patch["image"].shape == patch["label"].shape == (1, 4, 3)
    rows, columns = patch["image"][0, 1:, 0], patch["image"][0, 0, 1:]
    assert (rows - patch["image"][0, 0, 0]).tolist() == [81, 162, 243]  # 9 x 9 voxels a row
    assert (columns - patch["image"][0, 0, 0]).tolist() == [9, 18]


@pytest.mark.parametrize(("channel", "channels"), [(0, 1), (1, 3)])
def test_slices_of_the_foreground_are_centred_on_any_target(channel, channels):
    data = sample(one_voxel((3, 5, 0), channel, channels))
    for patch in draw(slices((3, 3), per_case=5, foreground=1.0), data):
        assert patch["label"][channel, 1, 1] == 1
        assert patch["image"][0, 1, 1] == 1 + (3 * 9 + 5) * 9


def test_the_fraction_of_the_foreground_holds_for_slices():
    found = draw(slices((3, 3), per_case=400, foreground=0.25), sample(one_voxel((4, 4, 4))))
    centred = sum(int(patch["label"][0, 1, 1]) for patch in found)
    assert 70 <= centred <= 130  # 100 expected, deviation 9


def test_slices_of_the_background_come_from_the_whole_volume():
    found = draw(slices((9, 9), per_case=60, foreground=0.0), sample(one_voxel((4, 4, 4))))
    depths = {int(patch["image"][0, 0, 0]) - 1 for patch in found}
    assert depths == set(range(9))


def test_a_volume_of_one_slice_has_patches():
    (patch,) = draw(slices((3, 3), foreground=1.0), sample(one_voxel((3, 5, 0), shape=(9, 9, 1))))
    assert patch["label"].shape == (1, 3, 3)
    assert patch["label"][0, 1, 1] == 1


def test_a_small_slice_is_padded_with_zeros_on_both_sides():
    (patch,) = draw(slices((5, 3)), sample(one_voxel((1, 1, 0), shape=(3, 3, 1))))
    assert patch["image"].shape == (1, 5, 3)
    assert not patch["image"][0, [0, 4]].any()
    assert patch["image"][0, 1:4].flatten().tolist() == list(range(1, 10))


def test_slices_can_be_augmented():
    data = {"image": torch.rand(2, 20, 18, 6), "label": (torch.rand(2, 20, 18, 6) > 0.5).float()}
    data = {key: MetaTensor(value, affine=torch.eye(4)) for key, value in data.items()}
    found = draw(slices((16, 16), per_case=4), data)
    always = augmentation(spatial_dims=2, deformation=0.1, flip=1.0, probability=1.0)
    for patch in found:
        changed = draw(always, patch)
        assert changed["image"].shape == changed["label"].shape == (2, 16, 16)
        assert not torch.equal(changed["image"], patch["image"])


def test_a_patch_needs_one_number_an_axis():
    with pytest.raises(
        UserError, match=r"patch_size \(96, 96\) does not fit spatial_dims 3: give 3 whole"
    ):
        patches((96, 96))
    with pytest.raises(UserError, match="fit spatial_dims 2: give 2 whole numbers"):
        slices((96, 96, 96))
