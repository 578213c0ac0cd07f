"""A phantom cohort, a run trained on it in seconds, and where the real cases are."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis.internal.conjecture import providers

from pipeline.cli import main
from pipeline.data.limits import limit_files
from pipeline.data.phantom import write_cohort

ROOT = Path(__file__).parents[1]
TINY = (
    "max_epochs=2",
    "val_interval=2",
    "spacing=null",
    "patch_size=[16,16,16]",
    "network_def::features=[4,4,8]",
    "num_workers=0",
)
"""Settings of a training of seconds."""

# Hypothesis also draws constants of the modules that happen to be loaded: the examples of a fixed
# seed would differ with the tests that ran before.
providers._get_local_constants = lambda: providers._local_constants


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of converted networks, in place of the user's own."""
    folder = tmp_path_factory.mktemp("cache")
    folder.chmod(0o700)
    os.environ["UNET_BUNDLES_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three phantoms of 48 voxels on an oblique, anisotropic grid."""
    root = tmp_path_factory.mktemp("cohort")
    write_cohort(root, 3, shape=(48, 45, 32), seed=0)
    return root


@pytest.fixture(scope="session")
def run(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of ``unet3d`` on the phantoms."""
    output = tmp_path_factory.mktemp("runs") / "run"
    with pytest.raises(SystemExit) as end:
        main(["train", "unet3d", "--data", str(cohort), "--output", str(output), "--set", *TINY])
    assert end.value.code == 0
    return output


@pytest.fixture
def set_limit() -> Iterator[Callable[[int], None]]:
    """Allow files of so many bytes, until the test ends."""
    yield lambda num_bytes: limit_files(num_bytes / 2**30)
    limit_files(None)


@pytest.fixture
def unet_bundles(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command; gives exit status, standard output and standard error.

    ``segment`` runs the network by torch itself unless the test names a backend: converting one
    costs more than the test.
    """

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        if arguments[0] == "segment" and "--backend" not in arguments:
            arguments += ("--backend", "eager")
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return end.value.code, captured.out, captured.err

    return call


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real cases; the test is skipped where there is none."""
    folder = Path(os.environ.get("PIPELINE_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real cases at {folder}")
    return folder
