"""The connection to the container engine: made at first use, shared by all threads."""

from typing import Any

import docker
from docker import APIClient
from docker.errors import DockerException
from docker.transport import UnixHTTPAdapter
from docker.utils import kwargs_from_env

from models.errors import SettingsError

ANY_VERSION = "1.41"  # told, so that the engine is not asked for its own
MAX_CONNECTIONS = 256  # kept open to the engine; more are made as needed and not kept


class _SharedConnections(UnixHTTPAdapter):
    """Keeps connections for whatever is asked next.

    Docker's own keeps some for each URL, and so for each container: it makes a pool and connects
    anew with nearly every call, which takes longer than most of the calls.
    """

    def get_connection(self, url: str | bytes, proxies: Any = None) -> Any:
        return super().get_connection("http+docker://localhost", proxies)


def _share_connections(api: APIClient) -> None:
    own = api.get_adapter(api.base_url)
    if isinstance(own, UnixHTTPAdapter):
        shared = _SharedConnections(own.socket_path, own.timeout, max_pool_size=MAX_CONNECTIONS)
        api.mount("http+docker://", shared)
        own.close()
        api.trust_env = False  # no proxy leads to a socket; to look for one takes half of a call


def check_environment() -> None:
    """Raise SettingsError where Docker's own variables name no engine; none is asked."""
    try:
        docker.APIClient(version=ANY_VERSION, **kwargs_from_env()).close()
    except (DockerException, ValueError, OSError) as error:
        raise SettingsError(f"DOCKER_HOST, DOCKER_TLS_VERIFY, DOCKER_CERT_PATH: {error}") from error


class EngineClient:
    """Knows the engine and which security options it has."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout = timeout_seconds
        self._api: APIClient | None = None
        self._options: frozenset[str] = frozenset()

    @property
    def api(self) -> APIClient:
        """The engine's client. Raises what docker raises when the engine is away."""
        # Without a lock: nobody may queue up behind a call to an engine that does not answer.
        if self._api is None:
            timeout = int(self._timeout)
            api = docker.from_env(timeout=timeout, max_pool_size=MAX_CONNECTIONS).api
            _share_connections(api)
            self._options = frozenset(
                option.removeprefix("name=").split(",")[0]
                for option in api.info().get("SecurityOptions") or []
            )
            self._api = api
        return self._api

    @property
    def options(self) -> frozenset[str]:
        """Names of the engine's security options, such as apparmor; known once `api` was used."""
        return self._options
