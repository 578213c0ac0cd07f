"""A headless Chromium, driven over the pipe of its DevTools protocol."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from select import select
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-quic",
    "--disable-sync",
    "--disable-component-update",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--window-size=1366,768",
    "--remote-debugging-pipe",
)
SECONDS = 300.0  # for anything to happen, on a busy machine


class Page:
    """A tab, and what it has logged and asked for."""

    def __init__(self, commands: int, answers: int) -> None:
        self.commands, self.answers = commands, answers
        self.rest = b""
        self.count = 0
        self.session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    @property
    def requests(self) -> list[str]:
        """The addresses that were asked for."""
        asked = [e for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in asked]

    @property
    def complaints(self) -> list[str]:
        """Errors and warnings of the console, and exceptions that nothing caught."""
        told = []
        for event in self.events:
            params = event["params"]
            bad = (
                event["method"] == "Runtime.exceptionThrown"
                or (event["method"] == "Log.entryAdded" and params["entry"]["level"] == "error")
                or (
                    event["method"] == "Runtime.consoleAPICalled"
                    and params["type"] in ("error", "assert")
                )
            )
            if bad:
                told.append(json.dumps(params)[:500])
        return told

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Give a command and wait for its answer."""
        self.count += 1
        message: dict[str, Any] = {"id": self.count, "method": method, "params": params}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def open(self, file: Path) -> None:
        """Open a file from disk, with nothing remembered of the page before."""
        self.events.clear()
        address = file.absolute().as_uri()
        self.send("Page.navigate", url=address)
        self.wait_for(
            f"document.readyState === 'complete' && location.href === {json.dumps(address)}"
        )

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Wait until an expression is true in the page."""
        end = time.monotonic() + SECONDS
        while not self.run(condition):
            if time.monotonic() > end:
                raise TimeoutError(f"never true: {condition}; {self.complaints}")
            time.sleep(0.05)

    def press(self, key: str) -> None:
        """Press and release a key of the keyboard."""
        codes = {"Tab": 9, " ": 32, "ArrowRight": 39, "ArrowDown": 40, "PageUp": 33, "Enter": 13}
        text = {"text": key} if key == " " else {"text": "\r"} if key == "Enter" else {}
        known = {"key": key, "windowsVirtualKeyCode": codes[key]}
        self.send("Input.dispatchKeyEvent", type="keyDown", **known, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **known)

    def prefer(self, scheme: str) -> None:
        """Pretend that the reader prefers "dark" or "light"."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.send("Emulation.setEmulatedMedia", features=[feature])

    def picture(self) -> NDArray[np.uint8]:
        """What is seen, (height, width, 3)."""
        data = self.send("Page.captureScreenshot", format="png")["data"]
        return np.asarray(Image.open(BytesIO(base64.b64decode(data))).convert("RGB"))

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            if not select([self.answers], [], [], SECONDS)[0]:
                raise TimeoutError("the browser is silent")
            self.rest += os.read(self.answers, 2**20)
        line, _, self.rest = self.rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        if "method" in message:
            self.events.append(message)
        return message


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """A tab of a browser that keeps its profile in ``folder``."""
    command_end, commands = os.pipe()
    answers, answer_end = os.pipe()
    process = subprocess.Popen(
        [
            "bash",
            "-c",
            f'exec "$@" 3<&{command_end} 4>&{answer_end}',
            "bash",
            str(CHROMIUM),
            *FLAGS,
            f"--user-data-dir={folder}",
        ],
        pass_fds=(command_end, answer_end),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(command_end)
    os.close(answer_end)
    try:
        yield Page(commands, answers)
    finally:
        os.close(commands)
        os.close(answers)
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
