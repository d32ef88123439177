"""A sandbox that nobody ends: its engine has forgotten it, or its worker is in no hurry."""

from typing import Any

import docker
import pytest

from models.status import Status
from tests.harness import wait_until
from tests.integration.direct_backend import direct_backend
from worker.sandbox import launcher
from worker.sandbox.container import LABEL_EXECUTION

START = """
import sys
sys.path.insert(0, "/usr/local/lib/agentcore")
from guest import supervisor
supervisor.FIRST_WORD_SECONDS = 1
supervisor.main()
"""
ABANDONED = 70  # exit code of a supervisor that gave up


def test_a_supervisor_that_never_gets_a_job_ends_by_itself(
    engine: docker.DockerClient, sandbox_image: str
) -> None:
    container = engine.containers.create(
        sandbox_image,
        ["-c", START],
        entrypoint=["python3", "-I", "-S"],
        network_mode="none",
        stdin_open=True,
        user="1000:1000",
    )
    try:
        held = container.attach_socket(params={"stdin": 1, "stream": 1})
        container.start()
        assert container.wait(timeout=60)["StatusCode"] == ABANDONED
        held.close()
    finally:
        container.remove(force=True)


SURVIVORS = """
import os, sys, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            while True:
                time.sleep(60)
        os._exit(0)
print("done")
"""


@pytest.mark.parametrize(
    "body",
    [
        {"source": SURVIVORS},
        {"source": "print(input())", "inputs": ["a", "b"]},
        {
            "source": "print(1)",
            "resource_limits": {"network_access": "restricted"},
            "allowed_hosts": ["example.com"],
        },
    ],
    ids=["survivors", "batch", "network"],
)
def test_a_supervisor_that_has_reported_waits_alone_to_be_let_go(
    engine: docker.DockerClient,
    sandbox_image: str,
    monkeypatch: pytest.MonkeyPatch,
    body: dict[str, Any],
) -> None:
    monkeypatch.setattr(launcher, "COURTESY", 3600)
    with direct_backend(sandbox_image) as backend:
        spec = backend.spec(body)
        outcome = backend.docker.run(spec, lambda _: None)
        assert outcome.status is Status.SUCCEEDED, outcome
        label = {"label": f"{LABEL_EXECUTION}={spec.execution_id}"}
        (sandbox,) = engine.containers.list(filters=label)
        wait_until(lambda: len(sandbox.top()["Processes"]) == 1, 10, "the supervisor alone")
    assert engine.containers.list(all=True, filters=label) == []
