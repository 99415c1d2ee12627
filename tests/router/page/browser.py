"""A headless Chromium, told what to do by the DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_S = 30.0
_FLAGS = (
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
)


def browser_path() -> str | None:
    """Returns where a browser is, None where none is installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Refusal(AssertionError):
    """A command that the browser could not carry out; one sent while a page goes away is such."""


class Tab:
    """One tab; `troubles` holds what the page logs as errors, refusals of its security policy among them."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.troubles: list[str] = []

    async def send(self, method: str, **params: Any) -> Any:
        """Returns the result of a command; raises Refusal where the browser cannot carry it out."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        while True:
            told = await self._socket.receive_json(timeout=PATIENCE_S)
            if told.get("method") == "Runtime.exceptionThrown":
                self.troubles.append(str(told["params"]["exceptionDetails"]))
            if told.get("method") == "Log.entryAdded" and told["params"]["entry"]["level"] == "error":
                self.troubles.append(told["params"]["entry"]["text"])
            if told.get("id") == self._number:
                if "error" in told:
                    raise Refusal(f"{method}: {told['error']}")
                return told["result"]

    async def open(self, url: str, *, width: int = 1280, height: int = 1000, scheme: str = "light") -> None:
        """Goes to an address, in a window of that size and a light or dark scheme."""
        await self.send("Runtime.enable")
        await self.send("Log.enable")
        await self.send("Page.enable")
        await self.resize(width, height)
        await self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        await self.send("Page.navigate", url=url)

    async def resize(self, width: int, height: int) -> None:
        """Makes the window that large."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self.send("Emulation.setDeviceMetricsOverride", **size)

    async def value(self, expression: str) -> Any:
        """Returns what JavaScript comes to."""
        got = await self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in got, got
        return got["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Returns what JavaScript comes to, as soon as that is true."""
        end = time.monotonic() + PATIENCE_S
        found_js = (
            f"(() => {{ try {{ const f = {expression}; return f instanceof Node || f }} catch {{ return null }} }})()"
        )
        while True:
            # The page may be on its way out: the next one will tell.
            with contextlib.suppress(Refusal):
                if found := await self.value(found_js):
                    return found
            assert time.monotonic() < end, f"never true: {expression}; page: {await self.text()}; {self.troubles}"
            await asyncio.sleep(0.05)

    async def reload(self) -> None:
        """Loads the page anew; returns once the new one is there."""
        await self.value("window.isOld = true")
        await self.send("Page.reload")
        await self.until("!window.isOld")

    async def text(self) -> str:
        """Returns what can be read on the page."""
        return str(await self.value("document.body.innerText"))

    async def click(self, selector: str) -> None:
        """Clicks an element."""
        await self.value(f"document.querySelector({json.dumps(selector)}).click()")

    async def fill(self, selector: str, text: str) -> None:
        """Types a text into a field."""
        await self.value(f"document.querySelector({json.dumps(selector)}).focus()")
        await self.send("Input.insertText", text=text)

    async def press(self, key: str) -> None:
        """Presses a key where the focus is."""
        codes = {"Enter": ("\r", 13), "Tab": ("\t", 9), " ": (" ", 32)}
        text, code = codes[key]
        await self.send("Input.dispatchKeyEvent", type="keyDown", key=key, text=text, windowsVirtualKeyCode=code)
        await self.send("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    async def screenshot(self, path: Path) -> None:
        """Writes the whole page as a picture."""
        got = await self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(got["data"]))


@contextlib.asynccontextmanager
async def browsing() -> AsyncIterator[Tab]:
    """Yields a tab of a browser that has nothing of an earlier one."""
    path = browser_path()
    assert path is not None
    # The browser may still write while its profile is removed.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [path, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            port = await _port(Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as reply:
                    pages = [page for page in await reply.json() if page["type"] == "page"]
                async with session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    yield Tab(socket)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


async def _port(file: Path) -> int:
    """Returns the port on which the browser listens, once it says so."""
    end = time.monotonic() + PATIENCE_S
    while not (file.exists() and "\n" in file.read_text(encoding="utf-8")):
        assert time.monotonic() < end, "the browser did not start"
        await asyncio.sleep(0.05)
    return int(file.read_text(encoding="utf-8").splitlines()[0])
