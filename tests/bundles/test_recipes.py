"""What each bundle takes from its paper, seen in what it does."""

import re
import shlex
import shutil
from math import log

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from torch import nn

from pipeline.arguments import parse_overrides
from pipeline.bundles import Bundle, shipped
from pipeline.errors import UserError
from pipeline.inference.codes import cleaned
from pipeline.inference.settings import Settings
from pipeline.runs import burnt_in
from pipeline.training.run import check_patch
from tests.shrunk import network_of, widths

BUNDLES = shipped()
OF_ONE_DOMAIN = [name for name, one in BUNDLES.items() if not one.config("train")["domains"]]


def recipe(bundle: Bundle, **overrides: object) -> ConfigParser:
    """The training config of ``bundle`` with a narrow network and patches of 32 voxels."""
    config = bundle.config("train")
    parser = ConfigParser(config)
    dims = overrides.get("spatial_dims", config["spatial_dims"])
    narrow = {"network_def::features": widths(bundle), "patch_size": [32] * dims, "device": "cpu"}
    for key, value in (narrow | {"optimizer::params": "$@network_def.parameters()"}).items():
        parser[key] = value
    for key, value in overrides.items():
        parser[key] = value
    return parser


def test_windows_are_those_that_the_network_takes_when_it_does_not_train():
    check_patch(recipe(BUNDLES["resnet_vae"], **{"inferer::patch_size": [24] * 3}))
    parser = recipe(BUNDLES["resnet_vae"], **{"inferer::patch_size": [20] * 3})
    with pytest.raises(UserError, match=r"inferer::patch_size .* multiple of 8"):
        check_patch(parser)
    assert parser.get_parsed_content("network_def").training


def test_a_whole_window_needs_a_network_that_tells_its_sizes_or_a_divisor():
    network = {
        "_target_": "monai.networks.nets.UNet",
        "spatial_dims": 3,
        "in_channels": 4,
        "out_channels": 3,
        "channels": [4, 8],
        "strides": [2],
    }
    parser = recipe(BUNDLES["unet3d"], network_def=network, **{"inferer::patch_size": "whole"})
    with pytest.raises(UserError, match=r"UNet does not tell .* set inferer::divisor"):
        check_patch(parser)
    parser["inferer::divisor"] = 2
    check_patch(parser)


@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("name", OF_ONE_DOMAIN)
def test_a_step_teaches_every_parameter(name, spatial_dims):
    """Several processes that train together would wait for a gradient that never comes."""
    torch.manual_seed(0)
    parser = recipe(BUNDLES[name], spatial_dims=spatial_dims)
    network = parser.get_parsed_content("network_def").train()
    sizes = [32] * spatial_dims
    batch = {"image": torch.randn(2, 4, *sizes), "label": torch.rand(2, 3, *sizes).round()}
    image, target = parser.get_parsed_content("prepare_batch")(batch)
    parser.get_parsed_content("loss")(network(image), target).backward()
    assert [key for key, weight in network.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize("name", OF_ONE_DOMAIN)
def test_the_model_card_states_the_number_of_parameters(name):
    with torch.device("meta"):
        count = sum(weight.numel() for weight in network_of(BUNDLES[name]).parameters())
    card = (BUNDLES[name].root / "docs/README.md").read_text()
    assert f"{count:,} trainable parameters" in card


@pytest.mark.parametrize("name", OF_ONE_DOMAIN)
def test_augmentation_keeps_the_form_of_a_sample(name):
    parser = recipe(BUNDLES[name])
    sizes = [16] * parser.get_parsed_content("spatial_dims")
    augment = parser.get_parsed_content("augmentation").set_random_state(seed=0)
    label = torch.zeros(3, *sizes)
    label[:, 4:12] = 1
    for _ in range(8):
        sample = augment({"image": MetaTensor(torch.randn(4, *sizes)), "label": MetaTensor(label)})
        assert sample["image"].shape == (4, *sizes)
        assert sample["image"].isfinite().all()
        assert set(sample["label"].unique().tolist()) <= {0.0, 1.0}


def rates(parser: ConfigParser, epochs: int) -> list[float]:
    """The learning rate of each epoch."""
    optimizer, schedule = map(parser.get_parsed_content, ("optimizer", "lr_schedule"))
    found = []
    for _ in range(epochs):
        found.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return found


def test_the_rate_of_resnet_vae_falls_by_a_polynomial_of_300_epochs():
    found = rates(recipe(BUNDLES["resnet_vae"]), 300)
    expected = [1e-4 * (1 - epoch / 300) ** 0.9 for epoch in range(300)]
    assert found == pytest.approx(expected, rel=1e-6)


def test_the_rate_of_vnet_falls_once_to_a_tenth():
    parser = recipe(BUNDLES["vnet"])
    found = rates(parser, parser.get_parsed_content("max_epochs"))
    assert found == pytest.approx([1e-4] * 220 + [1e-5] * 44)


def test_the_rate_of_resunetplusplus_falls_after_five_validations_without_gain():
    parser = recipe(BUNDLES["resunetplusplus"])
    optimizer, schedule = map(parser.get_parsed_content, ("optimizer", "lr_schedule"))
    found = []
    for mean_dice in (0.5, 0.6, *[0.6] * 5):
        schedule.step(mean_dice)
        found.append(optimizer.param_groups[0]["lr"])
    assert found == pytest.approx([1e-4] * 6 + [1e-5])


def test_no_new_net_removes_an_enhancing_tumour_below_its_threshold():
    parser = recipe(BUNDLES["no_new_net"])
    restore = parser.get_parsed_content("postprocessing")
    probabilities = torch.zeros(3, 10, 10, 10)
    probabilities[2].view(-1)[:199] = 1
    probabilities[0].view(-1)[0] = 1
    assert restore.targets(probabilities).sum(dim=(1, 2, 3)).tolist() == [1, 0, 0]
    probabilities[2].view(-1)[199] = 1
    assert restore.targets(probabilities).sum(dim=(1, 2, 3)).tolist() == [1, 0, 200]


def test_no_new_net_segments_another_task_by_its_task_key_alone():
    task = {"modalities": ["mri"], "classes": ["background", "anterior"]}
    restore = recipe(BUNDLES["no_new_net"], task=task)
    probabilities = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1)
    assert restore.get_parsed_content("postprocessing").targets(probabilities).item() == 1


@pytest.mark.parametrize(
    "task",
    [
        {"modalities": ["mri"], "classes": ["background", "anterior"]},
        {"modalities": ["mri"], "regions": ["WT"]},
    ],
    ids=["classes", "regions"],
)
@pytest.mark.parametrize("name", [name for name in BUNDLES if name != "u2net"])
def test_rules_of_a_bundle_are_those_of_its_task(tmp_path, name, task):
    copied = Bundle(shutil.copytree(BUNDLES[name].root, tmp_path / name))
    file = copied.config_file("inference")
    file.write_text(burnt_in(file.read_text(), {"task": task}))
    settings = Settings.of(copied, divisor=1)
    codes = np.ones((2, 2, 2), np.uint8)
    assert cleaned(codes, settings.task, settings.rules).all()


def undecided() -> tuple[list[torch.Tensor], torch.Tensor]:
    """Four heads that give a probability of one half everywhere, and a label of ones."""
    return [torch.zeros(1, 3, 4, 4)] * 4, torch.ones(1, 3, 4, 4)


def test_the_loss_of_unetplusplus_is_half_cross_entropy_and_dice():
    loss = recipe(BUNDLES["unetplusplus"]).get_parsed_content("loss")
    # Of 16 voxels, Dice of one half against 1 is (2 * 8 + 1) / (8 + 16 + 1); entropy is log 2.
    assert loss(*undecided()).item() == pytest.approx(0.5 * log(2) + 1 - 17 / 25, abs=1e-5)


def test_the_other_recipe_of_unetplusplus_halves_both_and_watches_the_overlap():
    card = (BUNDLES["unetplusplus"].root / "docs/README.md").read_text().replace("\\\n", " ")
    command = re.search(r"^    unet-bundles train (.*schedule_metric.*)$", card, re.MULTILINE)[1]
    words = shlex.split(command)
    overrides = parse_overrides(words[words.index("--set") + 1 :])
    parser = recipe(BUNDLES["unetplusplus"])
    for key, value in overrides.items():
        parser[key] = value
    loss = parser.get_parsed_content("loss")
    assert loss(*undecided()).item() == pytest.approx(0.5 * log(2) + 0.5 * (1 - 17 / 25), abs=1e-5)
    assert parser.get_parsed_content("schedule_metric") == "mean_iou"
    optimizer, schedule = map(parser.get_parsed_content, ("optimizer", "lr_schedule"))
    for overlap in (0.6, *[0.5] * 6):
        schedule.step(overlap)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(3e-5)
    network = parser.get_parsed_content("network_def")
    assert any(isinstance(part, nn.BatchNorm2d) for part in network.modules())


def test_unet3plus_learns_from_heads_and_presence():
    torch.manual_seed(0)
    parser = recipe(BUNDLES["unet3plus"])
    network, loss = map(parser.get_parsed_content, ("network_def", "loss"))
    loss(network(torch.randn(2, 4, 32, 32)), torch.rand(2, 3, 32, 32).round())
    heads = {f"head_{index}" for index in range(5)}
    assert set(loss.parts) == {"focal", "iou", "ms_ssim", "presence"} | heads


@pytest.mark.parametrize(("spatial_dims", "width"), [(2, 7), (3, 3)])
def test_fcn_narrows_its_widest_layer_in_3d(spatial_dims, width):
    network = recipe(BUNDLES["fcn"], spatial_dims=spatial_dims).get_parsed_content("network_def")
    convolutions = [part for part in network.modules() if isinstance(part, nn.Conv2d | nn.Conv3d)]
    assert max(part.kernel_size[0] for part in convolutions) == width
