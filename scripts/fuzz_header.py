"""Search for a header whose check ends in anything but a layout or one sentence.

    pip install atheris
    python scripts/fuzz_header.py [CORPUS] -max_total_time=60

Atheris changes headers such that new branches of the check are reached. What is found is written as
``crash-*``. The corpus (default tests/corpus) holds a header of each kind; what is new and reaches
a new branch is added to it.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pipeline.data"]):
    from pipeline.data.findings import CODES, FileUserError
    from pipeline.data.nifti import parse_header

CORPUS = Path(__file__).parents[1] / "tests" / "corpus"


def check(content: bytes) -> None:
    """Check one header.

    Raises:
        RuntimeError: a code or a layout that cannot be.
    """
    try:
        _, layout = parse_header(content, Path("image.nii"))
    except FileUserError as error:
        if error.code not in CODES or not str(error).isprintable():
            raise RuntimeError(f"unknown code or broken sentence: {error.code} {error}") from error
        return
    if not 2 <= len(layout.shape) <= 7 or layout.num_bytes < 1 or layout.offset < 0:
        raise RuntimeError(f"impossible layout {layout}")


def main() -> None:
    """Run atheris, by default on the corpus that comes with the project."""
    given = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    atheris.Setup([*sys.argv, *([] if given else [str(CORPUS)])], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
