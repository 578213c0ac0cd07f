"""Options that every verb takes."""

import logging
import warnings
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import UserError

Convention = Literal["brats2018", "brats2023", "msd_brats", "classes"]
"""Of the values in label files."""

Backend = Literal["auto", "eager", "compiled", "openvino", "openvino-int8", "onnxruntime"]
"""What runs a network."""

Alignment = tuple[Literal["rigid"], ...] | None
"""``--align`` alone is (), ``--align rigid`` is ("rigid",)."""


@dataclass(kw_only=True)
class Common:
    """Options that every verb takes, though not every verb has a use for each."""

    seed: int | None = None
    """Of train and compare: decides all randomness; the bundle's own if not given."""
    threads: int | None = None
    """Of train, compare, segment, export and quantise: CPU threads of the network; all cores if not
    given."""
    workers: int | None = None
    """Of train and compare: processes that load cases."""
    device: str | None = None
    """Of train, compare and segment: such as cpu or cuda:0; a GPU if there is one."""
    max_gib: float | None = None
    """Of all that read volumes: largest size of a file, decompressed; a quarter of the memory if
    not given."""
    debug: bool = False
    """Show the traceback of an error."""
    version: bool = False
    """Print the version and do nothing else."""

    def check(self) -> None:
        """Refuse options that make no sense.

        Raises:
            UserError: fewer than one thread.
        """
        if self.threads is not None and self.threads < 1:
            raise UserError(f"--threads {self.threads} leaves no thread: give 1 or more")

    def quieten(self) -> None:
        """Leave out what libraries log and warn of, unless it is to be shown."""
        if not self.debug:
            logging.disable(logging.CRITICAL)
            warnings.simplefilter("ignore")

    def set_threads(self) -> None:
        """Set threads, and quieten the libraries."""
        self.quieten()
        import torch

        from pipeline.distributed import keep_freed_memory

        keep_freed_memory()
        if self.threads is not None:
            torch.set_num_threads(self.threads)

    def prepare(self) -> None:
        """Set threads, quieten the libraries, and refuse a device that is not there.

        Raises:
            UserError: the device is unknown or absent.
        """
        self.set_threads()
        import torch

        if self.device is not None:
            try:
                torch.empty(0, device=self.device)
            except (RuntimeError, AssertionError) as error:
                raise UserError(
                    f"no device {self.device} on this machine: try --device cpu"
                ) from error


def read_as(asked: str | None, recorded: str | None, convention: str) -> str:
    """The convention of predictions: what is asked for or recorded, else ``convention``, told.

    Raises:
        UserError: another one is asked for than is recorded.
    """
    from pipeline.progress import console

    if None not in (asked, recorded) and asked != recorded:
        raise UserError(
            f"the run.json of the predictions says {recorded}: leave --prediction-labels out"
        )
    if asked is None and recorded is None and convention != "classes":
        console.print(f"predictions have no run.json: they are read as {convention}")
    return asked or recorded or convention
