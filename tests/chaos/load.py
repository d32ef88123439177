"""Submits short programs for as long as the storm lasts, and keeps what was accepted."""

import random
import threading
from typing import Any
from uuid import UUID

import httpx

from tests.chaos.witness import marked

PACE_SECONDS = 0.4  # between two submissions, on average; two workers on two cores keep up
RETRY_SECONDS = 0.5
ANSWER_SECONDS = 20  # until a stopped API counts as away
PROGRAMS = (
    "import time; time.sleep({seconds})",
    "import time; print('x' * 5000, flush=True); time.sleep({seconds}); print('end')",
    "import time, sys; time.sleep({seconds}); sys.exit(3)",
    "import time; open('output/a.txt', 'w').write('kept'); time.sleep({seconds})",
    "import time; time.sleep(60)",  # into its time limit, or a cancel
)


class Load:
    """One thread that submits; a submission is tried until it is accepted."""

    def __init__(self, url: str, key: str, seed: int) -> None:
        self.accepted: dict[str, str] = {}  # submission key by execution id
        self.problems: list[str] = []
        self._choose = random.Random(seed)
        self._headers = {"Authorization": f"Bearer {key}"}
        self._url = url
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._submit_for_ever, daemon=True)

    def start(self) -> None:
        """Begin to submit."""
        self._thread.start()

    def stop(self) -> None:
        """Submit no more; the one on its way is still brought in."""
        self._enough.set()
        self._thread.join(timeout=90)
        assert not self._thread.is_alive(), "a submission is still refused"

    def cancel(self, execution_id: str) -> bool:
        """Ask for an execution to end; return whether the API took it."""
        path = f"/v1/executions/{execution_id}/cancel"
        try:
            with self._client() as client:
                return client.post(path, json={}).status_code == 202
        except httpx.TransportError:
            return False

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self._url, headers=self._headers, timeout=ANSWER_SECONDS)

    def _submit_for_ever(self) -> None:
        with self._client() as client:
            while not self._enough.wait(self._choose.uniform(0.1, 1.9) * PACE_SECONDS):
                self._submit(client, self._body())

    def _body(self) -> dict[str, Any]:
        key = str(UUID(int=self._choose.getrandbits(128), version=4))
        program = self._choose.choice(PROGRAMS).format(
            seconds=round(self._choose.uniform(0.1, 2.5), 2)
        )
        return {
            "key": key,
            "command": marked(program, key),
            "max_attempts": self._choose.choice((1, 1, 2, 3)),
            "priority": self._choose.randrange(10),
            "execution_limits": {"max_execution_time_seconds": self._choose.choice((3, 4, 6))},
        }

    def _submit(self, client: httpx.Client, body: dict[str, Any]) -> None:
        key = body.pop("key")
        while True:
            try:
                # The key makes the repeated request the same one, whatever became of the first.
                answer = client.post("/v1/executions", json=body, headers={"Idempotency-Key": key})
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code == 202:
                self.accepted[answer.json()["id"]] = key
                return
            if answer is not None and answer.status_code not in (429, 503):
                self.problems.append(f"a submit was answered {answer.status_code}: {answer.text}")
                return
            threading.Event().wait(RETRY_SECONDS)
