"""The parts of the Docker backend that need no engine."""

import json
from unittest.mock import MagicMock

import pytest
from docker.errors import APIError

from models.settings import Settings
from worker.sandbox.conversation import encode_job
from worker.sandbox.docker_backend import DockerBackend
from worker.sandbox.errors import IsolationRefusedError, SandboxStartError
from worker.sandbox.guest import protocol


@pytest.fixture
def backend():
    settings = Settings(
        database_url="unused://",
        broker_url="unused://",
        deployment="unit",
        docker_timeout_seconds=1,
        kill_grace_seconds=1,
    )
    return DockerBackend(settings, "w:1")


def frames(data):
    found = []
    while data:
        kind, length = protocol.HEADER.unpack_from(data)
        end = protocol.HEADER.size + length
        found.append((kind, data[protocol.HEADER.size : end]))
        data = data[end:]
    return found


def test_an_execution_that_does_not_run_here_cannot_be_cancelled(backend, make_spec):
    assert backend.cancel(make_spec().execution_id) is False


def test_a_job_is_followed_by_its_files_and_stdin(make_spec):
    files = [{"path": "b", "content": "2"}, {"path": "a", "content": "1"}]
    body = {"source": "s", "files": files, "stdin": "in", "environment": {"A": "é"}}
    (kind, payload), *data = frames(encode_job(make_spec(body)))
    job = json.loads(payload)
    assert kind == protocol.JOB
    assert job["files"] == ["b", "a", "main.py"]
    assert data == [(protocol.DATA, item) for item in (b"2", b"1", b"s", b"in")]
    assert job["environment"]["A"] == "é"
    assert job["argv"] == ["python3", "main.py"]
    assert set(job["artifacts"]) == {"count", "bytes", "total_bytes", "depth"}


@pytest.mark.parametrize(
    "body",
    [
        {"source": "é" * 1_048_576, "stdin": "x" * 2_097_152},
        {"source": "x", "args": ["é" * 30_000] * 2},
        {"source": "x", "context": {"memory": {"é": "x" * 65_000}}},
    ],
    ids=["source", "args", "memory"],
)
def test_the_largest_requests_fit_into_the_guests_frames(make_spec, body):
    spec = make_spec(body, ceiling_memory_mb=4096)
    sizes = [len(payload) for _kind, payload in frames(encode_job(spec))]
    assert max(sizes) <= protocol.MAX_HOST_FRAME


@pytest.mark.parametrize(
    "body",
    [
        {"source": "x", "context": {"memory": {f"m{n}": "x" * 65_000 for n in range(256)}}},
        {"source": "x", "args": ["x" * 32_768] * 256},
        {"command": ["\U0001f600" * 32_768] * 60},
        {"source": "x", "context": {"memory": {"é" * 6_000_000: 1}}},
    ],
    ids=["memory", "args", "command in UTF-8", "memory name"],
)
def test_what_would_not_fit_is_refused(make_spec, body):
    with pytest.raises(ValueError, match="must be at most"):
        make_spec(body, ceiling_memory_mb=4096)


class _Refusing:
    """An engine with AppArmor that does not have our profile."""

    def __init__(self):
        self.given = []

    def create_host_config(self, **options):
        return options

    def create_container(self, **arguments):
        (option,) = (
            item for item in arguments["host_config"]["security_opt"] if "apparmor" in item
        )
        self.given.append(option)
        return {"Id": "x"}

    def start(self, _container):
        said = "AppArmor enabled on system but the profile could not be loaded"
        raise APIError("500", explanation=said)

    def remove_container(self, _container, **_options):
        return None


@pytest.fixture
def refusing(backend, monkeypatch):
    engine = _Refusing()
    client = backend._client
    client._api, client._options = engine, frozenset({"apparmor"})
    monkeypatch.setattr("security_profiles.loaded_profiles", lambda: None)
    monkeypatch.setattr("worker.sandbox.launcher.Connection", lambda *_: MagicMock())
    return engine


def test_a_profile_that_the_engine_refuses_is_preferred_no_more(backend, refusing, make_spec):
    with pytest.raises(SandboxStartError):
        backend.run(make_spec(), lambda _isolation: None)
    assert refusing.given == ["apparmor=agentcore-standard", "apparmor=docker-default"]


def test_a_profile_that_the_engine_refuses_is_a_refusal_where_it_is_required(
    backend, refusing, make_spec
):
    with pytest.raises(IsolationRefusedError, match="agentcore-standard") as refused:
        backend.run(make_spec(apparmor="require"), lambda _isolation: None)
    assert refusing.given == ["apparmor=agentcore-standard"]
    assert refused.value.isolation["missing"] != []
