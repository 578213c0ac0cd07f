"""``--set``: a key that nothing has, or that an option gives, ends in one sentence."""

import pytest

from pipeline.arguments import parse_overrides
from pipeline.bundles import check_overrides, find_bundle
from pipeline.errors import UserError
from tests.conftest import TINY
from tests.test_bad_input import nothing_starts


@pytest.mark.parametrize(
    ("key", "meant"),
    [("max_epoch", "max_epochs"), ("recipe::foreground", "foreground_margin")],
)
def test_a_misspelt_key(unet_bundles, cohort, tmp_path, key, meant):
    arguments = ("train", "unet3d", "--data", cohort, "--output", tmp_path / "run")
    result = unet_bundles(*arguments, "--set", f"{key}=3")
    nothing_starts(result, f"'{key}'", f"did you mean {meant}?")


@pytest.mark.parametrize(
    ("key", "option"),
    [("output_dir", "--output"), ("dataset_dir", "--data"), ("bundle_root", "the name")],
)
def test_a_key_that_an_option_gives(unet_bundles, cohort, tmp_path, key, option):
    arguments = ("train", "unet3d", "--data", cohort, "--output", tmp_path / "run")
    result = unet_bundles(*arguments, "--set", f"{key}={tmp_path}")
    nothing_starts(result, f"--set cannot change {key}", option)


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("network_def::featurs=[4,4,8]", "features"),
        ("optimizer::lrr=1e-3", "lr"),
        ("augmentation::rotaton=0", "rotation"),
        ("train::trainer::max_epoch=3", "max_epochs"),
        ("loss={_target_: pipeline.losses.DiceCrossEntropy, tasks: '@task'}", "task"),
        ("listeners=[{_target_: pipeline.training.StopEarly, patince: 5}]", "patience"),
    ],
)
def test_a_misspelt_argument_of_a_component(unet_bundles, cohort, tmp_path, misspelt, meant):
    arguments = ("train", "unet3d", "--data", cohort, "--output", tmp_path / "run")
    result = unet_bundles(*arguments, "--set", *TINY, misspelt)
    nothing_starts(result, misspelt.partition("=")[0], f"did you mean {meant}?")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "overrides",
    [
        {"network_def::norm": "instance"},
        {"cohort::align": "grid"},
        {"train::trainer::amp": False, "train::trainer::_desc_": "in full precision"},
        {"network_def::convs": [1, 2], "network_def::_target_": "pipeline.networks.VNet"},
        {"lr_schedule": {"_target_": "torch.optim.lr_scheduler.StepLR"}, "lr_schedule::gamma": 0.5},
        {"augmentation::gamma::1": 2.0},
        {"listeners": [{"_target_": "pipeline.training.StopEarly"}], "listeners::0::patience": 5},
    ],
)
def test_an_argument_that_the_config_does_not_spell_out_is_taken(overrides):
    check_overrides(find_bundle("unet3d").config("train"), overrides)


def test_a_place_that_a_list_does_not_have_is_refused():
    config = find_bundle("unet3d").config("train")
    with pytest.raises(UserError, match="unknown key 'augmentation::gamma::2'"):
        check_overrides(config, {"augmentation::gamma::2": 2.0})


def test_an_argument_of_a_target_that_is_replaced_is_refused():
    config = find_bundle("vnet").config("train")
    overrides = {"network_def::_target_": "pipeline.networks.UNet3D", "network_def::convs": [1, 2]}
    with pytest.raises(UserError, match="unknown key 'network_def::convs' in --set"):
        check_overrides(config, overrides)


def test_numbers_with_an_exponent_are_numbers_wherever_they_stand():
    items = ["optimizer::lr=1e-3", "lr_schedule={min_lr: 1e-6, steps: [1.5E+2, a]}", "name=inf"]
    assert parse_overrides(items) == {
        "optimizer::lr": 1e-3,
        "lr_schedule": {"min_lr": 1e-6, "steps": [150.0, "a"]},
        "name": "inf",
    }
