"""The cache of converted networks."""

import os
import stat
from dataclasses import replace

import pytest

from pipeline.bundles import Bundle, shipped
from pipeline.errors import UserError
from pipeline.inference.backends import cache
from pipeline.weights import write_weights
from tests.shrunk import network_of, shrunk


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A cache that is not there yet."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def entry(own):
    """An entry of one file."""
    with cache.writing(own / "entry") as folder:
        (folder / "network.xml").write_text("<net/>")
        cache.finish(folder, {"verdict": "passed"})
    return own / "entry"


def test_only_the_user_can_read_the_cache(own):
    assert cache.home() == own
    assert stat.S_IMODE(own.stat().st_mode) == 0o700


def test_without_a_word_it_is_where_the_desktop_says(tmp_path, monkeypatch):
    monkeypatch.delenv(cache.VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.home() == tmp_path / "unet-bundles"


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_a_folder_in_which_others_can_write_is_refused(own):
    own.mkdir()
    own.chmod(0o777)
    with pytest.raises(UserError, match=r"others may write in it: chmod"):
        cache.home()


def test_a_file_in_its_place_is_told(own):
    own.write_text("")
    with pytest.raises(UserError, match=r"^cannot make the cache"):
        cache.home()


def test_an_entry_is_read_as_it_was_written(entry):
    assert cache.report_of(entry)["verdict"] == "passed"
    assert [path.name for path in entry.parent.iterdir()] == ["entry"]


@pytest.mark.parametrize("damage", [lambda file: file.write_text("<NET/>"), os.remove])
def test_a_damaged_entry_counts_as_none_and_is_made_anew(entry, damage):
    damage(entry / "network.xml")
    assert cache.report_of(entry) is None
    with cache.writing(entry) as folder:
        (folder / "network.xml").write_text("<new/>")
        cache.finish(folder, {"verdict": "passed"})
    assert cache.report_of(entry) is not None
    assert (entry / "network.xml").read_text() == "<new/>"


def test_of_two_that_write_the_same_entry_the_first_stays(entry):
    with cache.writing(entry) as folder:
        (folder / "network.xml").write_text("<second/>")
        cache.finish(folder, {"verdict": "passed"})
    assert (entry / "network.xml").read_text() == "<net/>"


def test_what_fails_leaves_nothing(own):
    with pytest.raises(ZeroDivisionError), cache.writing(cache.home() / "entry"):
        raise ZeroDivisionError
    assert list(own.iterdir()) == []


@pytest.mark.usefixtures("own")
def test_what_was_made_while_the_weights_changed_is_not_kept(tmp_path):
    bundle = shrunk(shipped()["unet3d"], tmp_path / "unet3d")
    entry = cache.entry_of(bundle, bundle.weights, "openvino")
    cache.check_unchanged(entry, bundle, bundle.weights, "openvino")
    network = network_of(bundle)
    next(network.parameters()).data += 1
    write_weights(network, bundle.weights)
    with pytest.raises(UserError, match="changed while the network was converted: run it again"):
        cache.check_unchanged(entry, bundle, bundle.weights, "openvino")


@pytest.mark.usefixtures("own")
def test_what_decides_a_conversion_is_in_its_name(tmp_path):
    bundle = shrunk(shipped()["u2net"], tmp_path / "u2net")
    names = {cache.entry_of(bundle, bundle.weights, "openvino")}
    names |= {cache.entry_of(bundle, bundle.weights, "onnxruntime")}
    names |= {cache.entry_of(replace(bundle, domain="hippocampus"), bundle.weights, "openvino")}
    assert cache.entry_of(Bundle(bundle.root), bundle.weights, "openvino") in names
    network = network_of(bundle)
    next(network.parameters()).data += 1
    write_weights(network, bundle.weights)
    names |= {cache.entry_of(bundle, bundle.weights, "openvino")}
    config = bundle.config_file("inference")
    config.write_text(config.read_text() + "# changed\n")
    names |= {cache.entry_of(bundle, bundle.weights, "openvino")}
    assert len(names) == 5


@pytest.mark.usefixtures("own")
def test_code_of_others_is_in_the_name_of_a_conversion(tmp_path, monkeypatch):
    bundle = shrunk(shipped()["unet3d"], tmp_path / "unet3d")
    config = bundle.config_file("inference")
    config.write_text(config.read_text().replace("pipeline.networks.UNet3D", "lab7.nets.Net"))
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lab7").mkdir()
    names = set()
    for text in ("first", "second"):
        (tmp_path / "lab7" / "nets.py").write_text(f"# {text}\n")
        names.add(cache.entry_of(bundle, bundle.weights, "openvino"))
    assert len(names) == 2
    config.write_text(config.read_text().replace("lab7.nets.Net", "itertools.chain"))
    assert cache.entry_of(bundle, bundle.weights, "openvino") not in names
