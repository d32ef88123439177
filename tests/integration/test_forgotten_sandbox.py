"""A sandbox that its engine has forgotten: nobody ends its input, and nobody removes it."""

import docker

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
