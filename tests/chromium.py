"""Chromium, headless, through its DevTools protocol: enough to open, click, look and listen."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websocket import WebSocket, create_connection

PROGRAM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
]
PATIENCE = 60.0


class Page:
    """One tab. `complaints` collects errors and warnings of the console and of the page."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._count = 0
        self._events: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; events that come meanwhile are kept."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._events.append(answer)

    def open(self, path: Path, width: int, height: int, dark: bool = False) -> None:
        """Show a local file in a window of a size, in the light or dark scheme."""
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", features=scheme)
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.send("Page.navigate", url=path.resolve().as_uri())
        end = time.monotonic() + PATIENCE
        while self.run("document.readyState") != "complete" and time.monotonic() < end:
            time.sleep(0.02)

    def run(self, expression: str) -> Any:
        """Return the value of an expression in JavaScript."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["exception"]["description"])
        return result["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until an expression in JavaScript is true. Raises RuntimeError where it never is."""
        end = time.monotonic() + PATIENCE
        while not self.run(expression):
            if time.monotonic() > end:
                raise RuntimeError(f"it never came true: {expression}")
            time.sleep(0.02)

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press and release a key."""
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        typed = {"text": text} if text else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **common, **typed)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def picture(self, path: Path, whole: bool = False) -> None:
        """Save what is seen, or the whole length of the page, as PNG."""
        result = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(result["data"]))

    def pdf(self) -> bytes:
        """Return the page as printed."""
        return base64.b64decode(self.send("Page.printToPDF", printBackground=False)["data"])

    @property
    def complaints(self) -> list[str]:
        """Return errors and warnings so far."""
        found = []
        for event in self._events:
            parameters = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(parameters["exceptionDetails"]))
            elif event["method"] == "Log.entryAdded":
                found.append(parameters["entry"]["text"])
            elif event["method"] == "Runtime.consoleAPICalled":
                found.append(str(parameters["args"]))
        return found

    @property
    def requests(self) -> list[str]:
        """Return the addresses that were asked for, data URIs left out."""
        sent = [e for e in self._events if e["method"] == "Network.requestWillBeSent"]
        urls = [event["params"]["request"]["url"] for event in sent]
        return [url for url in urls if not url.startswith("data:")]


@contextmanager
def browser(profile: Path) -> Iterator[Page]:
    """Start Chromium with a fresh profile, and end it."""
    command = [str(PROGRAM), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        socket = create_connection(_tab(profile, process), timeout=PATIENCE, suppress_origin=True)
        try:
            yield Page(socket)
        finally:
            socket.close()
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


@contextmanager
def fitting(path: Path, width: int, profile: Path) -> Iterator[Page]:
    """Open a page, on a desk in the light and on a phone in the dark; skip without Chromium.

    Before and after, nothing of it lies sideways; it complains of nothing and loads nothing else.
    """
    if not PROGRAM.exists():
        pytest.skip("Debian's chromium is absent")
    with browser(profile) as tab:
        tab.open(path, width, 800, dark=width < 600)
        assert tab.run("document.documentElement.scrollWidth") <= width
        yield tab
        assert tab.run("document.documentElement.scrollWidth") <= width
        assert tab.complaints == []
        assert set(tab.requests) == {path.resolve().as_uri()}


def _tab(profile: Path, process: subprocess.Popen[bytes]) -> str:
    import urllib.request

    note = profile / "DevToolsActivePort"
    end = time.monotonic() + PATIENCE
    while not (note.exists() and note.read_text().count("\n") >= 1):
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError("chromium did not start")
        time.sleep(0.05)
    port = note.read_text().split("\n")[0]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < end:
        tabs = json.load(opener.open(f"http://127.0.0.1:{port}/json", timeout=PATIENCE))
        for tab in tabs:
            if tab["type"] == "page":
                return str(tab["webSocketDebuggerUrl"])
        time.sleep(0.05)
    raise RuntimeError("chromium opened no tab")
