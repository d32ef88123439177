import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from deploy import healthcheck
from tests.harness import ROOT


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/")))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    listening = HTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listening.server_port}"
    listening.shutdown()
    listening.server_close()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (204, 1), (404, 1), (503, 1)])
def test_only_200_is_well(server: str, status: int, code: int) -> None:
    assert healthcheck.main([f"{server}/{status}"]) == code


def test_nobody_who_listens_is_not_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert healthcheck.main(["http://127.0.0.1:1/"]) == 1
    assert "refused" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["beat"], ["worker", "sweep"]])
def test_what_nobody_can_look_at_is_a_wrong_use(words: list[str]) -> None:
    assert healthcheck.main(words) == 2


@pytest.mark.parametrize("what", ["worker", "sweep"])
@pytest.mark.parametrize(
    "url",
    [
        None,
        "postgresql://nobody:hunter@127.0.0.1:1/none",
        "postgresql+psycopg://nobody:hunter@127.0.0.1:1/none",
        "other://nobody:hunter@127.0.0.1:1/none",
    ],
)
def test_without_a_database_nothing_is_known_to_be_well(what: str, url: str | None) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AGENTCORE_")}
    done = subprocess.run(
        [sys.executable, "-m", "deploy.healthcheck", what],
        cwd=ROOT, env=environment | ({"AGENTCORE_DATABASE_URL": url} if url else {}),
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "hunter" not in done.stderr
    assert done.stderr.startswith("the database: ")
