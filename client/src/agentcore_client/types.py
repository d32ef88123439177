"""Annotated types and enumerations of the wire format; each bounds what the server takes."""

import base64
import binascii
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

NAME_PATTERN = r"^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$"


class Request(BaseModel):
    """Base of what is sent: frozen, and unknown fields are refused by name.

    Values stay out of validation errors: an environment may hold secrets.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class NetworkAccess(StrEnum):
    """How far a sandbox's network reaches, from least to most."""

    NONE = "none"
    RESTRICTED = "restricted"
    FULL = "full"


class AgentPhilosophy(StrEnum):
    """How an agent reasons; passed on to its program."""

    REACT = "react"
    CHAIN_OF_THOUGHT = "chain_of_thought"
    MULTI_AGENT = "multi_agent"
    AUTONOMOUS = "autonomous"


def _without_nul(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain NUL characters (send binary content as base64)")
    return value


Text = Annotated[str, AfterValidator(_without_nul)]
Name = Annotated[
    str,
    StringConstraints(pattern=NAME_PATTERN),
    Field(description="Lower-case letters, digits, '-' and '_'; 1 to 63 characters"),
]
Label = Annotated[Text, StringConstraints(max_length=256)]
LabelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._/-]{0,62})$")]
Argument = Annotated[Text, StringConstraints(max_length=32_768)]
EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
WorkspacePath = Annotated[Text, StringConstraints(min_length=1, max_length=255)]
AllowedHost = Annotated[Text, StringConstraints(min_length=1, max_length=270)]
Encoding = Literal["utf-8", "base64"]
ProfileName = Literal["minimal", "standard", "privileged"]
AppArmorName = Literal["agentcore-minimal", "agentcore-standard", "docker-default", "unconfined"]
SyscallName = Annotated[str, StringConstraints(max_length=40)]
CapabilityName = Annotated[str, StringConstraints(max_length=40)]


def encoded(data: bytes) -> tuple[str, Encoding]:
    """Return `data` as the wire wants it: text where it is UTF-8 without NUL, else base64."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = "\x00"
    if "\x00" in text:
        return base64.b64encode(data).decode("ascii"), "base64"
    return text, "utf-8"


def encoded_all(items: Sequence[bytes]) -> tuple[list[str], Encoding]:
    """Return all of them in one encoding: as text only where every one can be."""
    pairs = [encoded(item) for item in items]
    if all(encoding == "utf-8" for _, encoding in pairs):
        return [content for content, _ in pairs], "utf-8"
    return [base64.b64encode(item).decode("ascii") for item in items], "base64"


def decoded(content: str, encoding: Encoding) -> bytes:
    """Return the bytes of `content`. Raises ValueError when it is not valid base64."""
    if encoding == "utf-8":
        return content.encode("utf-8")
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise ValueError(f"is not valid base64: {error}") from error
