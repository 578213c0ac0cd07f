"""Train U-shaped networks on volumes, and segment with them. Not a medical device."""

import sys
from collections.abc import Callable
from typing import Any

import tyro

from pipeline import __version__
from pipeline.cli.check import Check
from pipeline.cli.common import Common
from pipeline.cli.compare import Compare
from pipeline.cli.convert import Convert
from pipeline.cli.evaluate import Evaluate
from pipeline.cli.export import Export
from pipeline.cli.list import List
from pipeline.cli.pack import Pack
from pipeline.cli.picture import Picture
from pipeline.cli.quantise import Quantise
from pipeline.cli.report import Report
from pipeline.cli.segment import Segment
from pipeline.cli.train import Train
from pipeline.data.limits import limit_files
from pipeline.errors import origin, sentence

VERBS: dict[str, Callable[..., Common]] = {
    "list": List,
    "check": Check,
    "convert": Convert,
    "train": Train,
    "segment": Segment,
    "evaluate": Evaluate,
    "report": Report,
    "picture": Picture,
    "compare": Compare,
    "export": Export,
    "pack": Pack,
    "quantise": Quantise,
}


def main(arguments: list[str] | None = None) -> None:
    """Run one verb; a user's mistake ends in one sentence and status 2."""
    given = sys.argv[1:] if arguments is None else arguments
    if "--version" in given:
        print(f"unet-bundles {__version__}")
        return
    verb: Any = tyro.extras.subcommand_cli_from_dict(
        VERBS,
        prog="unet-bundles",
        description=f"{__doc__}\n--version, anywhere, prints the version.",
        args=given,
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    try:
        verb.check()
        limit_files(verb.max_gib)
        status = verb.run()
    except KeyboardInterrupt:
        print("unet-bundles: interrupted", file=sys.stderr)
        status = 130
    except Exception as error:
        if verb.debug:
            raise
        cause = origin(error)
        unexpected = f"unexpected {type(cause).__name__}: {cause} (--debug shows where)"
        print(f"unet-bundles: {sentence(error) or unexpected}", file=sys.stderr)
        status = 2
    sys.exit(status)
