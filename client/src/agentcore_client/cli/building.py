"""From the options of `run` to an execution request. Only what was given is sent."""

import json
import sys
from pathlib import Path
from typing import Any

import typer

from agentcore_client.calls import validated
from agentcore_client.cli.run_options import BatchOptions, ProgramOptions, RunOptions
from agentcore_client.requests import MAX_INPUTS, ExecutionRequest, InputFile
from agentcore_client.types import encoded, encoded_all

STDIN = "-"


def build_request(options: RunOptions) -> ExecutionRequest:
    """Return the request. Raises typer.BadParameter and InvalidArgumentError."""
    fields: dict[str, Any] = {"tool": _tool(options)}
    if options.stdin is not None:
        _require_other_source(options, options.stdin, "--stdin")
        fields["stdin"], fields["stdin_encoding"] = encoded(_read(str(options.stdin), "--stdin"))
    return _request(options, fields)


def build_batch(options: BatchOptions) -> ExecutionRequest:
    """Return the request of a batch. Raises typer.BadParameter and InvalidArgumentError."""
    if options.inputs is None:
        raise typer.BadParameter("is needed, and comes before FILE", param_hint="--inputs")
    _require_other_source(options, options.inputs, "--inputs")
    lines = _lines(_read(str(options.inputs), "--inputs"))
    if not 1 <= len(lines) <= MAX_INPUTS:
        raise typer.BadParameter(
            f"{options.inputs} has {len(lines)} lines; a batch takes 1 to {MAX_INPUTS}",
            param_hint="--inputs",
        )
    inputs, encoding = encoded_all(lines)
    limits = {
        "input_timeout_seconds": options.input_timeout,
        "input_max_output_bytes": options.max_output,
    }
    return _request(options, {"inputs": inputs, "stdin_encoding": encoding, **limits})


def _request(options: ProgramOptions, more: dict[str, Any]) -> ExecutionRequest:
    fields = {
        **_program(options),
        **_choices(options),
        **_limits(options),
        "environment": _environment(options),
        "files": [_input_file(item) for item in options.file or ()],
        "labels": dict(_pair(item, "--label") for item in options.label or ()),
        **more,
    }
    given = {name: value for name, value in fields.items() if value not in (None, [], {})}
    return validated(ExecutionRequest, given)


def _require_other_source(options: ProgramOptions, path: Path, option: str) -> None:
    if path == Path(STDIN) and options.program and options.program[0] == STDIN:
        what = option.removeprefix("--")
        raise typer.BadParameter(f"source and {what} cannot both come from '-'", param_hint=option)


def _lines(data: bytes) -> list[bytes]:
    """Return the lines without their ends; an empty one is an input, too."""
    lines = data.removesuffix(b"\n").split(b"\n") if data else []
    return [line.removesuffix(b"\r") for line in lines]


def _program(options: ProgramOptions) -> dict[str, Any]:
    words = list(options.program or ())
    if options.agent is not None:
        if options.command:
            raise typer.BadParameter("cannot go with --agent", param_hint="--command")
        return {"agent": options.agent, "args": words}
    if options.agent_version:
        raise typer.BadParameter("is needed with --agent-version", param_hint="--agent")
    if not words:
        raise typer.BadParameter(
            "give a FILE with Python source ('-': from stdin), --command or --agent",
            param_hint="FILE",
        )
    if options.command:
        return {"command": words}
    try:
        source = _read(words[0], "FILE").decode("utf-8")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(
            f"{words[0]} is not UTF-8 text; for a program use --command", param_hint="FILE"
        ) from error
    return {"source": source, "args": words[1:]}


def _tool(options: RunOptions) -> dict[str, Any] | None:
    if options.agent is None and (options.tool or options.tool_arguments):
        raise typer.BadParameter("is needed with --tool", param_hint="--agent")
    if options.tool is None:
        return None
    return {
        "name": options.tool,
        "arguments": _json(options.tool_arguments or "{}", "--tool-arguments"),
    }


def _json(text: str, option: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"is not valid JSON: {error}", param_hint=option) from error
    if not isinstance(value, dict):
        raise typer.BadParameter("must be a JSON object, as in {}", param_hint=option)
    return value


def _choices(options: ProgramOptions) -> dict[str, Any]:
    return {
        "agent_version": options.agent_version,
        "security_profile": options.profile and options.profile.value,
        "security_options": options.security_options
        and _json(options.security_options, "--security-options"),
        "image": options.image,
        "allowed_hosts": options.allow_host,
        "priority": options.priority,
        "restricted_python": options.restricted_python,
        "max_attempts": options.max_attempts,
    }


def _limits(options: ProgramOptions) -> dict[str, Any]:
    """Set both kinds of limits: the tighter one holds, so that one alone could not loosen."""
    execution = {
        "max_execution_time_seconds": options.timeout,
        "max_memory_mb": options.memory,
        "max_cpu_percent": None if options.cpu is None else options.cpu * 100,
        "max_processes": options.processes,
        "max_network_requests": options.network_requests,
    }
    resource = {
        "max_execution_time_seconds": options.timeout,
        "max_memory_mb": options.memory,
        "max_cpu_cores": options.cpu,
        "network_access": options.network,
    }
    return {
        "execution_limits": {name: value for name, value in execution.items() if value is not None},
        "resource_limits": {name: value for name, value in resource.items() if value is not None},
    }


def _environment(options: ProgramOptions) -> dict[str, str]:
    pairs = [pair for path in options.env_from_file or () for pair in _pairs_of(path)]
    return dict(pairs + [_pair(item, "--env") for item in options.env or ()])


def _pairs_of(path: Path) -> list[tuple[str, str]]:
    try:
        text = _read(str(path), "--env-from-file").decode("utf-8")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{path} is not UTF-8", param_hint="--env-from-file") from error
    return [
        _pair(line.removesuffix("\r"), "--env-from-file", f"line {number} of {path}")
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]


def _pair(item: str, option: str, where: str = "it") -> tuple[str, str]:
    name, separator, value = item.partition("=")
    if not separator or not name:
        # The text itself stays out of the message: it may be a secret.
        raise typer.BadParameter(f"{where} must look like NAME=VALUE", param_hint=option)
    return name.strip(), value


def _input_file(item: str) -> InputFile:
    local, _, path = item.rpartition(":")
    if not local or Path(item).is_file():
        local, path = item, Path(item).name
    data = _read(local, "--file")
    content, encoding = encoded(data)
    return validated(InputFile, {"path": path, "content": content, "encoding": encoding})


def _read(name: str, option: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
    except OSError as error:
        raise typer.BadParameter(
            f"cannot read {name}: {error.strerror or error}", param_hint=option
        ) from error
