import pytest
import torch
from monai.metrics import MultiScaleSSIMMetric

from pipeline.losses.similarity import multi_scale_similarity, num_scales


@pytest.mark.parametrize(
    ("sizes", "scales"),
    [
        ((176, 176), 5),
        ((175, 400), 4),
        ((88, 88, 88), 4),
        ((87, 200), 3),
        ((44, 44), 3),
        ((22, 22), 2),
        ((200, 200, 11), 1),
        ((200, 10), 0),
    ],
)
def test_scales_halve_the_smallest_size_as_long_as_the_window_fits(sizes, scales):
    assert num_scales(sizes) == scales


def images(*shape):
    generator = torch.Generator().manual_seed(0)
    first = torch.rand(*shape, generator=generator)
    return first, (0.8 * first + 0.2 * torch.rand(*shape, generator=generator)).round(decimals=1)


def test_five_scales_in_2d_are_those_of_another_implementation():
    first, second = images(2, 1, 180, 177)
    expected = MultiScaleSSIMMetric(spatial_dims=2)(first, second)
    torch.testing.assert_close(multi_scale_similarity(first, second), expected, atol=1e-4, rtol=0)


def test_one_scale_in_3d_is_that_of_another_implementation():
    first, second = images(2, 1, 12, 13, 21)
    metric = MultiScaleSSIMMetric(spatial_dims=3, weights=(1.0,))
    expected = metric(first, second)
    torch.testing.assert_close(multi_scale_similarity(first, second), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("size", "weight"), [(11, 1.0), (22, 0.2856 / (0.0448 + 0.2856))])
def test_flat_images_differ_in_the_luminance_of_the_coarsest_scale(size, weight):
    flat = torch.ones(1, 1, size, size, dtype=torch.float64)
    luminance = (2 * 0.5 + 0.0001) / (0.5**2 + 1 + 0.0001)
    similarity = multi_scale_similarity(0.5 * flat, flat).item()
    assert similarity == pytest.approx(luminance**weight, abs=1e-9)


def test_channels_do_not_leak_into_each_other():
    first, second = images(1, 2, 24, 24)
    together = multi_scale_similarity(first, second)
    assert together[:, 1:].item() == pytest.approx(
        multi_scale_similarity(first[:, 1:], second[:, 1:]).item(), abs=1e-6
    )


def test_opposed_images_have_a_finite_gradient():
    first = images(1, 1, 24, 24)[0].round().requires_grad_()
    similarity = multi_scale_similarity(first, 1 - first.detach())
    similarity.sum().backward()
    assert similarity.item() < 0.1
    assert first.grad.isfinite().all()
