"""The connection to the container engine: made at first use, shared by all threads."""

import docker
from docker import APIClient

MAX_CONNECTIONS = 256  # kept open to the engine; more are made as needed and not kept


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
