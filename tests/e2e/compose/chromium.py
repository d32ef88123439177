"""Headless Chromium, driven over a pipe by its own protocol (Chrome DevTools)."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.harness import wait_until

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
END_SECONDS = 20
PAGE_SECONDS = 60  # for a page and its scripts, on a busy machine
# Chromium reads commands from descriptor 3 and answers on 4.
LAUNCH = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4);"
    "os.execv(sys.argv[3], sys.argv[3:])"
)


def find() -> str | None:
    """Return the path of a Chromium, None where there is none."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@contextmanager
def chromium(program: str, profile: Path) -> Iterator["Page"]:
    """An empty page of a browser of its own, which ends with the context."""
    commands, to_browser = os.pipe()
    answers, from_browser = os.pipe()
    theirs = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (commands, from_browser)]
    options = [
        "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}",
        "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions",
    ]  # fmt: skip
    if os.geteuid() == 0:
        options.append("--no-sandbox")  # it refuses to start as root with it
    log = (profile.parent / "chromium.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, *map(str, theirs), program, *options, "about:blank"],
        pass_fds=theirs, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
    )  # fmt: skip
    for end in (commands, from_browser, *theirs):
        os.close(end)
    with os.fdopen(to_browser, "wb", buffering=0) as sink, os.fdopen(answers, "rb") as source:
        try:
            yield Page(sink, source)
        finally:
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            log.close()


class Page:
    """One page. What it is asked for a password it answers with `login`, or not at all."""

    def __init__(self, sink: Any, source: Any) -> None:
        self.login: tuple[str, str] | None = None
        self.status: int | None = None
        self._asked = False
        self._sink, self._source = sink, source
        self._number = 0
        self._session: str | None = None
        target = self._do("Target.createTarget", url="about:blank")["targetId"]
        attached = self._do("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self._do("Page.enable")
        self._do("Network.enable")
        self._do("Fetch.enable", handleAuthRequests=True)

    def go(self, url: str) -> None:
        """Load a page; `status` is its answer's. A refused login is a status, too."""
        self.status, self._asked = None, False
        self._do("Page.navigate", url=url)
        wait_until(lambda: self.evaluate("document.readyState") == "complete", PAGE_SECONDS, url)

    def text(self) -> str:
        """Return what a person reads on the page."""
        return str(self.evaluate("document.body ? document.body.innerText : ''"))

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        told = self._do("Runtime.evaluate", expression=expression, returnByValue=True)
        return told["result"].get("value")

    def _do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command; answer what comes meanwhile; return the command's result."""
        number = self._send(method, parameters)
        while True:
            message = self._receive()
            if message.get("id") == number:
                assert "error" not in message, f"{method}: {message['error']}"
                return dict(message["result"])
            self._react(message)

    def _react(self, message: dict[str, Any]) -> None:
        details = message.get("params", {})
        method = message.get("method")
        if method == "Fetch.requestPaused":
            self._send("Fetch.continueRequest", {"requestId": details["requestId"]})
        elif method == "Fetch.authRequired":
            request = {"requestId": details["requestId"], "authChallengeResponse": self._answer()}
            self._send("Fetch.continueWithAuth", request)
        elif method == "Network.responseReceived" and details["type"] == "Document":
            self.status = details["response"]["status"]

    def _answer(self) -> dict[str, str]:
        """Return what is entered in the dialog: once, for wrong words are asked for again."""
        if self.login is None or self._asked:
            return {"response": "CancelAuth"}
        self._asked = True
        user, password = self.login
        return {"response": "ProvideCredentials", "username": user, "password": password}

    def _send(self, method: str, parameters: dict[str, Any]) -> int:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._sink.write(json.dumps(message).encode() + b"\0")
        return self._number

    def _receive(self) -> dict[str, Any]:
        text = bytearray()
        while (byte := self._source.read(1)) != b"\0":
            assert byte, "the browser has ended"
            text += byte
        return dict(json.loads(text))
