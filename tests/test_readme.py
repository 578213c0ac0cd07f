"""What the README and the docs show is what the command takes."""

import os
import re
import shlex
from itertools import chain

import pytest
import tyro
import yaml

from pipeline.arguments import parse_overrides
from pipeline.bundles import check_overrides, find_bundle
from pipeline.cli import VERBS
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES += sorted((ROOT / "bundles").glob("**/docs/README.md"))


def commands(program: str) -> list[tuple[str, str]]:
    """Each command of ``program`` in an indented block with the bundle that its page is about."""
    found = []
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        about = page.parents[1].name if page.parents[2].name == "bundles" else "unet3d"
        shown = re.findall(rf"^    (?:\S*/)?{program} (.*)$", text, flags=re.MULTILINE)
        found += [(command, about) for command in shown]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize(("command", "about"), commands("unet-bundles"))
def test_shown_commands_are_understood(command, about):
    verb = tyro.extras.subcommand_cli_from_dict(VERBS, args=shlex.split(command, comments=True))
    if hasattr(verb, "set") and hasattr(verb, "bundle"):
        config = find_bundle(about if verb.bundle == "RUN" else verb.bundle).config("train")
        check_overrides(config, parse_overrides(chain.from_iterable(verb.set)))


@pytest.mark.parametrize(("command", "about"), commands("python -m monai.bundle run"))
def test_shown_monai_commands_name_files_that_exist(command, about):
    words = shlex.split(command)
    config = words[words.index("--config_file") + 1]
    root = ROOT if config.startswith("bundles/") else ROOT / "bundles" / about
    if not config.startswith("RUN/"):
        assert yaml.safe_load((root / config).read_text())


def test_shown_scripts_exist_and_can_be_called():
    text = "\n".join(page.read_text() for page in PAGES)
    called = set(re.findall(r"^ {4}(scripts/\w[\w./]*)", text, flags=re.MULTILINE))
    assert {"scripts/demo", "scripts/test"} <= called
    assert [script for script in sorted(called) if not os.access(ROOT / script, os.X_OK)] == []
    named = set(re.findall(r"scripts/[\w/]+\.py", text))
    assert [script for script in sorted(named) if not (ROOT / script).is_file()] == []


def test_the_readme_says_that_this_is_no_medical_device():
    assert "Not a medical device" in (ROOT / "README.md").read_text()
