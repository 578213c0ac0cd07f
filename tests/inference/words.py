"""Jobs that are words, and steps for them; processes import this and little else."""

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

DEADLINE = 60  # seconds, for what takes a moment


@dataclass
class Word:
    """A word that each step adds to, in a folder in which a step leaves a file when it begins."""

    text: str
    folder: Path
    errors: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return bool(self.errors)

    def fail(self, error):
        self.errors.append(str(error))

    def begin(self, step):
        (self.folder / f"{step}-{self.text[:1]}").touch()


def begun(folder, step):
    return sorted(path.name[-1] for path in folder.glob(f"{step}-*"))


def until(condition):
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.01)


def read(word):
    word.begin("read")
    word.text += "r"


def compute(word):
    word.begin("compute")
    word.text += "c"


def write(word):
    word.begin("write")
    word.text += "w"


def write_once_told(word):
    until((word.folder / "told").exists)
    write(word)


def note_process(word):
    word.text += f" {os.getpid()}"


def write_slowly(word):
    """Takes longer than the next words need to be computed; says how many are being written."""
    own = word.folder / f"being-written-{word.text}"
    own.touch()
    word.text += f" {len(list(word.folder.glob('being-written-*')))}"
    time.sleep(0.2)
    own.unlink()


def kill_itself(word):
    if word.text[0] == "b":
        os.kill(os.getpid(), signal.SIGKILL)
    word.text += "k"


def exit_at_once(word):
    if word.text[0] == "b":
        os._exit(3)
    word.text += "x"


def refuse(word):
    if word.text[0] == "b":
        raise ValueError("this one is refused")
    word.text += "f"


def read_then_refuse(word):
    read(word)
    raise ValueError("too late")


def note_surroundings(word):
    word.text += f"{Path.cwd()} {os.environ['UNET_BUNDLES_TESTED']}"


def note_then_read(word):
    (word.folder / f"process-{word.text}").write_text(str(os.getpid()))
    read(word)
    if word.text[0] == "c":
        time.sleep(DEADLINE)
