import pytest
import torch

from pipeline.training import with_domain, with_image

IMAGE, LABEL = torch.ones(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)
BATCH = {"image": IMAGE, "label": LABEL}


def test_the_target_can_be_label_and_image():
    image, (label, again) = with_image(BATCH)
    assert image is again
    assert torch.equal(image, IMAGE)
    assert torch.equal(label, LABEL)


@pytest.mark.parametrize("prepare", [with_image, with_domain])
def test_a_batch_without_label_has_no_target(prepare):
    image, target = prepare({"image": IMAGE})
    assert torch.equal(image, IMAGE)
    assert target is None


def test_tensors_go_to_the_device_in_the_wanted_precision():
    image, (label, _) = with_image(BATCH, torch.device("cpu"), True, dtype=torch.float64)
    assert image.dtype == label.dtype == torch.float64


@pytest.mark.parametrize("domain", ["liver", ["liver", "liver"]])
def test_the_domain_of_a_batch_is_told_to_the_network(domain):
    image, label, args, kwargs = with_domain(BATCH | {"domain": domain})
    assert torch.equal(image, IMAGE)
    assert torch.equal(label, LABEL)
    assert (args, kwargs) == ((), {"domain": "liver"})


def test_a_batch_without_domain_is_image_and_label():
    image, label = with_domain(BATCH)
    assert torch.equal(image, IMAGE)
    assert torch.equal(label, LABEL)


def test_a_batch_of_several_domains_is_refused():
    with pytest.raises(ValueError, match="one domain, not of brain, liver"):
        with_domain(BATCH | {"domain": ["liver", "brain"]})
