"""What the README and the docs show is what the command takes."""

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
PAGES += sorted((ROOT / "bundles").glob("*/docs/README.md"))


def commands(program: str) -> list[str]:
    """Each command of ``program`` in an indented block, continuation lines joined."""
    found = []
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        found += re.findall(rf"^    (?:\S*/)?{program} (.*)$", text, flags=re.MULTILINE)
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("command", commands("unet-bundles"))
def test_shown_commands_are_understood(command):
    verb = tyro.extras.subcommand_cli_from_dict(VERBS, args=shlex.split(command))
    if hasattr(verb, "set"):
        config = find_bundle(verb.bundle).config("train")
        check_overrides(config, parse_overrides(chain.from_iterable(verb.set)))


@pytest.mark.parametrize("command", commands("python -m monai.bundle run"))
def test_shown_monai_commands_name_files_that_exist(command):
    words = shlex.split(command)
    config = words[words.index("--config_file") + 1]
    if config.startswith("bundles/"):
        assert yaml.safe_load((ROOT / config).read_text())


def test_the_readme_says_that_this_is_no_medical_device():
    assert "Not a medical device" in (ROOT / "README.md").read_text()
