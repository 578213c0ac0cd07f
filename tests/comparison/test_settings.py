"""What each bundle is trained with."""

import shutil

import pytest
import yaml

from pipeline.arguments import parse_overrides
from pipeline.bundles import shipped
from pipeline.comparison.processes import as_arguments
from pipeline.comparison.settings import Settings, entries
from pipeline.errors import UserError
from tests.conftest import ROOT


def test_later_settings_win_and_come_last():
    common = {"optimizer::lr": 1, "batch_size": 2}
    settings = Settings(common, {"vnet": {"optimizer::lr": 3}})
    assert list(settings.of("vnet", {}).items()) == [("batch_size", 2), ("optimizer::lr", 3)]
    assert settings.of("unet3d", {"batch_size": 4}) == {"optimizer::lr": 1, "batch_size": 4}


def test_settings_reach_a_training_as_they_were():
    overrides = {
        "lr_schedule": None,
        "task": {"modalities": ["mri"], "classes": ["background", "a b"]},
        "optimizer": {"params": "$@network.parameters()", "lr": 1e-5},
        "listeners": [{"iterations": 3, "of": "@optimizer"}],
        "split_file": "with space, and comma",
    }
    assert parse_overrides(as_arguments(overrides)) == overrides


def test_a_misspelt_key_is_refused_with_its_bundle():
    with pytest.raises(UserError, match=r"vnet: unknown key 'batch_sise'.*batch_size"):
        entries(["vnet"], Settings(), {"batch_sise": 1})


def test_a_key_of_the_comparison_is_refused():
    with pytest.raises(UserError, match="max_epochs of vnet is set by the comparison"):
        entries(["vnet"], Settings(), {"max_epochs": 1})


def test_a_bundle_is_named_once():
    with pytest.raises(UserError, match="vnet is named twice"):
        entries(["vnet", "unet3d", "vnet"], Settings(), {})


def test_two_bundles_of_one_name_are_told_apart(tmp_path):
    vnet = shutil.copytree(shipped()["vnet"].root, tmp_path / "vnet")
    with pytest.raises(UserError, match="two bundles are named vnet: rename the folder of one"):
        entries(["vnet", str(vnet)], Settings(), {})


def test_the_settings_of_a_bundle_know_its_config(tmp_path, monkeypatch):
    vnet = shutil.copytree(shipped()["vnet"].root, tmp_path / "vnet")
    monkeypatch.chdir(vnet)
    (entry,) = entries(["."], Settings(), {}).values()
    assert entry.bundle.name == "vnet"
    before = entry.settings
    assert before == entries(["vnet"], Settings(), {})["vnet"].settings
    config = vnet / "configs/train.yaml"
    config.write_text(config.read_text().replace("seed: 0", "seed: 1"))
    assert entry.settings != before


def test_bundles_of_different_tasks_are_refused():
    other = {"task": {"modalities": ["mri"], "classes": ["background", "tumour"]}}
    with pytest.raises(UserError, match="vnet segments tumour from mri, and unet3d another task"):
        entries(["unet3d", "vnet"], Settings({}, {"vnet": other}), {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2]", "holds no settings"),
        ("common: 3", "holds no settings"),
        ("bundles: {vnet: 3}", "holds no settings"),
        ("bundles: {3: {}}", "holds no settings"),
        ("common: {1: 2}", "holds no settings"),
        ("comon: {}", "unknown key 'comon'"),
        ("common: {a", "is no YAML"),
    ],
)
def test_a_file_that_holds_no_settings_is_refused(text, said, tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=said):
        Settings.read(file)


def test_settings_of_a_bundle_that_does_not_exist_are_refused():
    with pytest.raises(UserError, match="unknown bundle 'vnett'"):
        entries(["vnet"], Settings({}, {"vnett": {}}), {})


def test_the_bake_off_has_settings_for_every_bundle():
    file = ROOT / "scripts/hippocampus_bake_off.yaml"
    found = entries(shipped(), Settings.read(file), {})
    assert set(found) == set(yaml.safe_load(file.read_text())["bundles"])
    for entry in found.values():
        assert entry.task.classes == ("background", "anterior", "posterior")
        assert entry.config["optimizer"]["lr"] == 1e-3
