"""An execution over REST, on a connection that is kept: until its recorded outcome is here.

`python -m tests.benchmarks.drivers.rest`; BENCH_URL, BENCH_KEY, and BENCH_BODY to send another
body than the usual program. Where a submit may wait for the end that is one request, else two.
"""

import json
import os
import threading
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from tests.benchmarks.drivers.loop import EXPECTED, SOURCE, serve

WAIT = 60  # seconds that a request waits for the end
ENDED = ("succeeded", "failed", "timed_out", "cancelled", "rejected", "lost")


class Rest:
    """A client with one connection for each thread."""

    def __init__(self, url: str, key: str) -> None:
        self._place = urlsplit(url).netloc
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._threads = threading.local()
        self.connect()
        self.submit_waits = _submit_waits(self.call("GET", "/openapi.json"))

    def connect(self) -> None:
        """Give this thread a fresh connection: the API closes those that have been idle."""
        self._threads.connection = HTTPConnection(self._place, timeout=WAIT + 30)
        self._threads.connection.connect()

    def call(self, method: str, path: str, body: bytes | None = None) -> Any:
        """Return the parsed answer. Raises RuntimeError when it is a refusal."""
        connection: HTTPConnection = self._threads.connection
        connection.request(method, path, body, self._headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:300]!r}")
        return json.loads(content)

    def run(self, body: bytes) -> dict[str, Any]:
        """Submit, wait, and return the ended execution."""
        query = f"?wait={WAIT}" if self.submit_waits else ""
        execution: dict[str, Any] = self.call("POST", f"/v1/executions{query}", body)
        while execution["status"] not in ENDED:
            execution = self.call("GET", f"/v1/executions/{execution['id']}?wait={WAIT}")
        return execution


def _submit_waits(description: dict[str, Any]) -> bool:
    parameters = description["paths"]["/v1/executions"]["post"].get("parameters", [])
    return any(item["name"] == "wait" for item in parameters)


def encoded(**fields: Any) -> bytes:
    """Return a request's body; without fields, that of the usual program."""
    return json.dumps(fields or {"source": SOURCE}).encode()


def output_of(execution: dict[str, Any]) -> str:
    """Return what the program wrote. Raises RuntimeError when it did not succeed."""
    if execution["status"] != "succeeded":
        raise RuntimeError(f"{execution['status']}: {execution['reason']} {execution['message']}")
    return str(execution["stdout"]["text"])


def main() -> None:
    client = Rest(os.environ["BENCH_URL"], os.environ["BENCH_KEY"])
    body = os.environ.get("BENCH_BODY", "").encode() or encoded()
    assert output_of(client.run(body)).strip() == EXPECTED
    serve(lambda: output_of(client.run(body)), client.connect)


if __name__ == "__main__":
    main()
