"""The client: all calls of the API behind one object."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from agentcore_client.calls import Calls, agent_path, validated
from agentcore_client.config import Config, load_config
from agentcore_client.downloads import check_content, save
from agentcore_client.executions import ExecutionCalls
from agentcore_client.requests import AgentConfig
from agentcore_client.responses import (
    AgentList,
    AgentSummary,
    AgentVersion,
    ProfileInfo,
    ProfileList,
)
from agentcore_client.results import ResultCalls
from agentcore_client.retries import RetryPolicy
from agentcore_client.safe_paths import checked_parts
from agentcore_client.transport import Call, Transport

DEFAULT_TIMEOUT_SECONDS = 30.0  # of one call, without what a long-poll waits on purpose


class AgentCalls(Calls):
    """Store, read and delete agents; read the security profiles."""

    def put_agent(self, name: str, config: AgentConfig | dict[str, Any]) -> AgentVersion:
        """Store a configuration as the newest version; the same one again makes no new version.

        Raises InvalidArgumentError, RequestInvalidError and what all calls raise.
        """
        if not isinstance(config, AgentConfig):
            config = validated(AgentConfig, config)
        call = Call(method="PUT", path=agent_path(name), body=config.body())
        return self._ask(AgentVersion, call)

    def get_agent(self, name: str, *, version: int | None = None) -> AgentVersion:
        """Return a version of an agent, the newest by default. Raises NotFoundError."""
        params = {} if version is None else {"version": str(version)}
        return self._ask(AgentVersion, Call(method="GET", path=agent_path(name), params=params))

    def list_agents(self) -> tuple[AgentSummary, ...]:
        """Return the newest version of every agent, however many pages they fill."""
        return tuple(item for page in self.agent_pages() for item in page.items)

    def agent_pages(self) -> Iterator[AgentList]:
        """Yield the pages of agents by name, with the JSON that the server sent."""
        params: dict[str, str] = {}
        while True:
            page = self._ask(AgentList, Call(method="GET", path="/v1/agents", params=params))
            yield page
            if page.next_cursor is None:
                return
            params = {"cursor": page.next_cursor}

    def delete_agent(self, name: str) -> None:
        """Delete an agent with all its versions. Raises NotFoundError."""
        self._transport.send(Call(method="DELETE", path=agent_path(name)))

    def profiles(self) -> tuple[ProfileInfo, ...]:
        """Return the security profiles and whether the operator enabled each."""
        return self.profile_list().items

    def profile_list(self) -> ProfileList:
        """Return the same as `profiles`, with the JSON that the server sent."""
        return self._ask(ProfileList, Call(method="GET", path="/v1/profiles"))


class Client(ExecutionCalls, ResultCalls, AgentCalls):
    """All calls of the API; use it as a context manager, from one thread at a time or many.

    `url` and `key` win over AGENTCORE_URL and AGENTCORE_API_KEY, and those over the
    configuration file. `timeout` is in seconds for one call. Every call may raise
    ConnectionFailedError, UnauthorizedError, PermissionDeniedError, TooManyRequestsError,
    ServerUnavailableError and UnexpectedAnswerError. Raises ConfigError.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        retries: RetryPolicy | None = None,
        config: Config | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        super().__init__(
            Transport(
                config or load_config(url=url, key=key),
                timeout=timeout,
                retries=retries or RetryPolicy(),
                transport=transport,
            )
        )

    def ready(self) -> bool:
        """Return whether the server says that it can serve now; never retried."""
        return self._transport.send_once(Call(method="GET", path="/health/ready")).is_success

    def download(
        self, execution_id: UUID | str, directory: Path | str, *, overwrite: bool = False
    ) -> tuple[Path, ...]:
        """Save all artifacts under `directory` and return their places.

        All names are checked before the first is written. Raises ArtifactRefusedError for a
        name that leads elsewhere, a file that exists (unless `overwrite`), or wrong content.
        """
        infos = self.artifacts(execution_id)
        for info in infos:
            checked_parts(info.path)
        places = []
        for info in infos:
            data = self.artifact(execution_id, info.path)
            check_content(info, data)
            places.append(save(Path(directory), info.path, data, overwrite=overwrite))
        return tuple(places)
