import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from pipeline.transforms import augmentation

SHAPE = (20, 18, 16)
KEEP_INTENSITY = {"intensity": 0.0, "noise": 0.0, "gamma": (1.0, 1.0)}
KEEP_PLACES = {"flip": 0.0, "rotation": 0.0, "scaling": 0.0}


def ellipsoid(shape=SHAPE):
    """Long and off the centre, so that neither flip nor turn leaves it where it is."""
    axes = [
        (np.arange(size) - 0.4 * size) / radius
        for size, radius in zip(shape, (7, 4, 5), strict=False)
    ]
    distance = np.linalg.norm(np.meshgrid(*axes, indexing="ij"), axis=0)
    return torch.from_numpy((distance < 1).astype(np.float32))


def sample(shape=SHAPE):
    """Two channels that are bright in the ellipsoid, which is the label."""
    noise = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    image, label = 3 * ellipsoid(shape) + 0.1 * noise, ellipsoid(shape)[None]
    return {"image": MetaTensor(image), "label": MetaTensor(label)}


def augmented(seed, shape=SHAPE, **settings):
    transform = augmentation(spatial_dims=len(shape), **settings)
    return transform.set_random_state(seed=seed)(sample(shape))


def dice(first, second):
    return (2 * (first & second).sum() / (first.sum() + second.sum())).item()


def test_a_seed_gives_one_sample():
    first, second, other = (augmented(seed) for seed in (3, 3, 4))
    for key in ("image", "label"):
        assert torch.equal(first[key], second[key])
    assert not torch.equal(first["image"], other["image"])


@pytest.mark.parametrize("shape", [SHAPE, SHAPE[:2]])
def test_the_shape_stays_and_the_label_stays_binary(shape):
    for seed in range(8):
        found = augmented(seed, shape, probability=1.0)
        assert found["image"].shape == (2, *shape)
        assert found["label"].shape == (1, *shape)
        assert set(found["label"].unique().tolist()) == {0, 1}
        assert found["image"].isfinite().all()


def test_a_flip_takes_image_and_label_along():
    moved = 0
    for seed in range(8):
        found = augmented(seed, probability=0.0, **KEEP_INTENSITY)
        assert torch.equal(found["image"][0] > 1.5, found["label"][0] > 0)
        moved += not torch.equal(found["label"][0].as_tensor(), ellipsoid())
    assert moved >= 4  # of 8; each stays in place with a probability of 1/8


@pytest.mark.parametrize("shape", [SHAPE, SHAPE[:2]])
def test_rotation_and_scaling_take_image_and_label_along(shape):
    settings = {"probability": 1.0, "flip": 0.0, "rotation": 40.0} | KEEP_INTENSITY
    moved = 0
    for seed in range(8):
        found = augmented(seed, shape, **settings)
        label = found["label"][0] > 0
        assert dice(found["image"][0] > 1.5, label) > 0.94  # they are interpolated differently
        moved += dice(label, ellipsoid(shape) > 0) < 0.95
    assert moved >= 6  # of 8; some turns are small


def test_changes_of_intensity_leave_the_label_alone():
    found = augmented(0, probability=1.0, **KEEP_PLACES)
    assert torch.equal(found["label"], sample()["label"])
    assert not torch.equal(found["image"], sample()["image"])


def test_an_augmentation_of_nothing_is_none():
    found = augmented(0, probability=0.0, flip=0.0, **KEEP_INTENSITY)
    for key in ("image", "label"):
        assert torch.equal(found[key], sample()[key])


def test_scale_and_shift_stay_in_their_range():
    for seed in range(8):
        image = augmented(seed, flip=0.0, probability=0.0, intensity=0.1)["image"]
        before = sample()["image"]
        scale = (image[0].max() - image[0].min()) / (before[0].max() - before[0].min())
        shift = (image[0] - scale * before[0]).mean()
        assert 0.9 <= scale <= 1.1
        assert abs(shift) <= 0.1001


@pytest.mark.parametrize("shape", [SHAPE, SHAPE[:2]])
def test_a_deformation_of_next_to_nothing_moves_nothing(shape):
    settings = {"flip": 0.0, "rotation": 0.0, "scaling": 0.0} | KEEP_INTENSITY
    before = sample(shape)
    before["label"][...] = 1
    transform = augmentation(spatial_dims=len(shape), probability=1.0, deformation=1e-6, **settings)
    after = transform.set_random_state(seed=0)(before)
    assert torch.equal(after["label"], before["label"])
    torch.testing.assert_close(after["image"], before["image"], atol=1e-3, rtol=0)
