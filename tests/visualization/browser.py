"""A headless Chromium that a test talks to through the DevTools protocol; nothing else is needed."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = "needs Chromium: apt-get install chromium"
COMPLAINTS = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")


def find_chromium() -> str | None:
    """The browser's path, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Tab:
    """One page of the browser; ``console`` collects what it complains about."""

    def __init__(self, socket: Any) -> None:
        self.socket, self.number, self.console, self.requests = socket, 0, [], []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol and its result."""
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            if message["method"] in COMPLAINTS:
                self.console.append(message["params"])
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])

    def run(self, script: str) -> Any:
        """The value of an expression in the page; promises are waited for."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{script}: {result['exceptionDetails']['exception'].get('description')}")
        return result["result"].get("value")

    def wait(self, script: str, seconds: float = 30) -> Any:
        """The value of an expression once it is true."""
        end = time.monotonic() + seconds
        while not (value := self.run(script)):
            if time.monotonic() > end:
                raise TimeoutError(f"{script} is still not true; console: {self.console}")
            time.sleep(0.05)
        return value

    def open(self, path: Path) -> None:
        """Go to a file and wait until its page says that it is ready."""
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait("document.documentElement?.dataset.ready === 'yes'")

    def picture(self, path: Path, whole: bool = False) -> Path:
        """A screenshot of what is in sight, or of the whole page."""
        result = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(result["data"]))
        return path


@contextmanager
def chromium_tab(size: tuple[int, int] = (1280, 900), *options: str):
    """Start the browser, yield a tab of it, and end it."""
    from websocket import create_connection

    folder = tempfile.mkdtemp(prefix="chromium-")
    command = [
        find_chromium(), "--headless=new", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-port=0",
        "--no-first-run", f"--user-data-dir={folder}", f"--window-size={size[0]},{size[1]}", *options,
    ]  # fmt: skip
    if os.geteuid() == 0:
        command.append("--no-sandbox")  # Chromium refuses to start for root with one
    process = subprocess.Popen(
        [*command, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        port = Path(folder) / "DevToolsActivePort"
        end = time.monotonic() + 30
        while not (port.is_file() and port.read_text().count("\n")):
            if time.monotonic() > end or process.poll() is not None:
                raise RuntimeError("Chromium did not start")
            time.sleep(0.05)
        with urlopen(f"http://127.0.0.1:{port.read_text().splitlines()[0]}/json") as answer:
            target = next(t for t in json.load(answer) if t["type"] == "page")
        socket = create_connection(target["webSocketDebuggerUrl"], suppress_origin=True, timeout=60)
        yield Tab(socket)
        socket.close()
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)
