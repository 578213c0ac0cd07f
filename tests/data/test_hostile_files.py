"""Two hundred and more hostile files: refused with a code and a sentence, or read right."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.admission import findings
from pipeline.data.cohorts import Case
from pipeline.data.findings import CODES, FileUserError, Severity, shown
from pipeline.data.nifti import parse_header
from pipeline.data.volumes import read_volume
from pipeline.tasks import Task
from tests.hostile import FAMILIES, all_of
from tests.hostile_headers import Hostile

TASK = Task(("flair",), classes=("background", "lesion"))
ROOT = Path(__file__).parents[2]


def verdict(hostile: Hostile, folder: Path) -> str | None:
    """What is wrong with what became of the file, or None."""
    folder.mkdir()
    path = hostile.make(folder)
    started = time.monotonic()
    found = findings(Case("a", ((path, None),)), TASK, None)
    if time.monotonic() - started > 10:
        return "took more than 10 s"
    refused = [finding for finding in found if finding.severity is Severity.REFUSED]
    if refused:
        codes = {finding.code for finding in refused}
        text = refused[0].sentence
        if not codes <= hostile.codes:
            return f"was refused as {codes}: {text}"
        if not text.isprintable() or shown(path.with_suffix("").with_suffix("")) not in text:
            return f"is not named in one line: {text!r}"
        return None
    if hostile.voxels is None:
        return "was read"
    array = read_volume(path).array
    right = np.array_equal(array.ravel(order="F"), hostile.voxels.ravel(order="F"))
    return None if right else "was read wrong"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_hostile_file_is_refused_in_one_sentence_or_read_right(family, tmp_path):
    verdicts = {
        hostile.name: verdict(hostile, tmp_path / str(number))
        for number, hostile in enumerate(all_of(family))
    }
    assert {name: wrong for name, wrong in verdicts.items() if wrong is not None} == {}


def test_there_are_more_than_two_hundred_hostile_files():
    assert sum(len(all_of(family)) for family in FAMILIES) >= 200


def outcome(header: bytes) -> str:
    """The code of what is wrong with a header, else "layout"."""
    try:
        parse_header(header, Path("image.nii"))
    except FileUserError as error:
        return error.code if str(error).isprintable() else "a broken sentence"
    return "layout"


def test_every_header_of_the_corpus_ends_in_a_layout_or_a_sentence():
    corpus = sorted((ROOT / "tests" / "corpus").iterdir())
    outcomes = {file.name: outcome(file.read_bytes()) for file in corpus}
    assert set(outcomes.values()) <= {"layout", *CODES}
    assert outcomes["nifti1"] == outcomes["nifti2"] == outcomes["big_endian"] == "layout"


CHILD = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from pipeline.data.findings import FileUserError
from pipeline.data.volumes import read_volume
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
for line in Path(sys.argv[1]).read_text().splitlines():
    try:
        read_volume(Path(line))
    except FileUserError:
        pass
"""


def test_no_hostile_file_takes_more_than_a_gibibyte_of_memory(tmp_path):
    paths = []
    for number, hostile in enumerate(file for name in FAMILIES for file in all_of(name)):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = str(hostile.make(folder))
        if path.isprintable():
            paths.append(path)
    assert len(paths) >= 200
    (tmp_path / "paths").write_text("\n".join(paths))
    child = subprocess.run(
        [sys.executable, "-c", CHILD, tmp_path / "paths", ROOT],
        env={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert child.stderr == ""
    assert child.returncode == 0
