"""Options that commands share, declared once as frozen dataclasses."""

import dataclasses
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from agentcore_client.client import Client
from agentcore_client.config import Config, load_config


@dataclasses.dataclass(frozen=True, kw_only=True)
class Common:
    """Options of every command."""

    url: Annotated[
        str | None,
        typer.Option(help="The server, by default $AGENTCORE_URL or http://127.0.0.1:8002."),
    ] = None
    key_file: Annotated[
        Path | None,
        typer.Option(
            help="A file with the API key that only you can read, by default "
            "$AGENTCORE_API_KEY. There is no --key: process lists show command lines."
        ),
    ] = None
    json: Annotated[
        bool, typer.Option("--json", help="Print the server's JSON to stdout and nothing else.")
    ] = False

    def config(self) -> Config:
        """Return what is in force. Raises ConfigError."""
        return load_config(url=self.url, key_file=self.key_file)

    def connect(self) -> Client:
        """Return a client for what is in force. Raises ConfigError."""
        return Client(config=self.config())


def takes_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take dataclasses of options: each field becomes an option of its own."""
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if dataclasses.is_dataclass(parameter.annotation)
    }

    def flat(**values: Any) -> None:
        for name, group in groups.items():
            fields = {field.name: values.pop(field.name) for field in dataclasses.fields(group)}
            values[name] = group(**fields)
        command(**values)

    parameters = []
    for name, parameter in signature.parameters.items():
        parameters += _options(groups[name]) if name in groups else [_keyword(parameter)]
    flat.__doc__ = command.__doc__
    flat.__name__ = command.__name__
    flat.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {item.name: item.annotation for item in parameters}
    return flat


def _keyword(parameter: inspect.Parameter) -> inspect.Parameter:
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)


def _options(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in dataclasses.fields(group)
    ]
