"""Cases for a stand-in, and interruptions as in a terminal, on a machine that is busy."""

import signal

import nibabel as nib
import pytest

from pipeline.data.cases import Case
from pipeline.inference.cohort import segment_cases
from tests.inference.marking import AFFINE, Marker, bright


@pytest.fixture
def heeded():
    """Ctrl-C does what it does in a terminal; a shell lets what it starts aside ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def patient(monkeypatch):
    """What is being written when a run is interrupted has a minute to end."""
    monkeypatch.setattr("pipeline.inference.workers.GRACE", 60.0)


@pytest.fixture
def cases(tmp_path):
    """Three cases named a, b, c."""
    found = []
    for seed, name in enumerate("abc"):
        path = tmp_path / f"{name}.nii.gz"
        nib.save(nib.Nifti1Image(bright(seed), AFFINE), path)
        found.append(Case(name, ((path, None),)))
    return found


@pytest.fixture
def segment(tmp_path):
    def call(cases, segmenter=None, **options):
        return segment_cases(segmenter or Marker(), cases, tmp_path / "out", "classes", **options)

    return call
