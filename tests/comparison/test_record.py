"""A comparison goes on in its folder, and no other does."""

import errno
import json

import pytest

from pipeline.comparison.record import Record
from pipeline.errors import UserError


def settings(**changes: object) -> dict[str, object]:
    return {"budget": "90s", "bundles": {"vnet": {"batch_size": 2}}} | changes


def test_the_same_settings_go_on(tmp_path):
    for _ in range(2):
        with Record(tmp_path, settings()):
            pass
    assert json.loads((tmp_path / "comparison.json").read_text())["settings"] == settings()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"budget": "80s"}, "another budget"),
        ({"bundles": {"vnet": {"batch_size": 4}}}, "vnet with other settings"),
    ],
)
def test_other_settings_are_refused(changes, said, tmp_path):
    with Record(tmp_path, settings()):
        pass
    with pytest.raises(UserError, match=said), Record(tmp_path, settings(**changes)):
        pass


def test_another_bundle_may_join(tmp_path):
    with Record(tmp_path, settings()):
        pass
    with Record(tmp_path, settings(bundles={"unet3d": {}})):
        pass
    known = json.loads((tmp_path / "comparison.json").read_text())["settings"]["bundles"]
    assert set(known) == {"vnet", "unet3d"}


def test_two_comparisons_do_not_share_a_folder(tmp_path):
    with (
        Record(tmp_path, settings()),
        pytest.raises(UserError, match="at work"),
        Record(tmp_path, settings()),
    ):
        pass


@pytest.mark.parametrize("content", ["{", "[]", '{"settings": {}}', '{"settings": {"budget": 1}}'])
def test_a_file_that_is_no_comparison_is_left(content, tmp_path):
    (tmp_path / "comparison.json").write_text(content)
    record = Record(tmp_path, settings())
    with pytest.raises(UserError, match="damaged or of something else"), record:
        pass
    assert (tmp_path / "comparison.json").read_text() == content


def test_a_disk_without_locks_is_told(tmp_path, monkeypatch, capsys):
    def refused(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refused)
    with Record(tmp_path, settings()):
        pass
    assert "cannot be locked (No locks available)" in capsys.readouterr().err
