"""Annotated types: each bounds what a stranger may send and says so in its error."""

import base64
import binascii
import json
import unicodedata
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)

from models.hosts import parse_rule

MAX_PATH_DEPTH = 8  # folders
MAX_PATH_CHARS = 255  # characters, the limit of one name on Linux file systems
MAX_JSON_DEPTH = 16  # nested arrays and objects in a free-form JSON value
MAX_JSON_CHARS = 65_536  # characters of a free-form JSON value once written out

MAX_UNKNOWN_FIELDS = 20  # named one by one in an error; more are refused as a whole


class Contract(BaseModel):
    """Base of every contract: frozen, and unknown fields are refused by name."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, data: Any) -> Any:
        if isinstance(data, dict) and len(data) > len(cls.model_fields) + MAX_UNKNOWN_FIELDS:
            raise ValueError(f"has {len(data)} fields, far more than there are")
        return data


def _storable(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain NUL characters (send binary content as base64)")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("must be Unicode text, without lone surrogates") from None
    return value


def _bounded_json(value: Any) -> Any:
    if json_depth(value) > MAX_JSON_DEPTH:
        raise ValueError(f"must not nest deeper than {MAX_JSON_DEPTH}")
    if len(json.dumps(value, allow_nan=False)) > MAX_JSON_CHARS:
        raise ValueError(f"must be at most {MAX_JSON_CHARS} characters of JSON")
    for text in _texts(value):
        _storable(text)
    return value


def _texts(value: Any) -> list[str]:
    """Return all strings in a JSON value, names included. Never recurses."""
    found: list[str] = []
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, dict):
            left += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            left += item
    return found


def json_depth(value: Any) -> int:
    """Return how deep arrays and objects nest in `value`; a scalar is 0. Never recurses."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [
            child for item in level for child in (item.values() if isinstance(item, dict) else item)
        ]
    return depth


def _workspace_path(value: str) -> str:
    parts = value.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise ValueError("must be relative to /workspace, without '.', '..' or empty parts")
    if len(parts) > MAX_PATH_DEPTH:
        raise ValueError(f"must not be deeper than {MAX_PATH_DEPTH} folders")
    if any(unicodedata.category(char) == "Cc" for char in value):
        raise ValueError("must not contain control characters")
    if len(value.encode()) > MAX_PATH_CHARS:
        raise ValueError(f"must be at most {MAX_PATH_CHARS} bytes of UTF-8")
    return value


def _host_rule(value: str) -> str:
    return parse_rule(value).text


def _allowed_host(value: str) -> str:
    rule = parse_rule(value)
    if rule.wildcard and not rule.name:
        raise ValueError("must name a domain: '*' alone is for the operator's lists")
    return rule.text


def at_most(entries: int) -> BeforeValidator:
    """Refuse an object with more entries before any of them is looked at."""

    def check(value: Any) -> Any:
        if isinstance(value, dict) and len(value) > entries:
            raise ValueError(f"must have at most {entries} entries")
        return value

    return BeforeValidator(check)


Text = Annotated[str, AfterValidator(_storable)]
Name = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$"),
    Field(description="Lower-case letters, digits, '-' and '_'; 1 to 63 characters"),
]
Label = Annotated[Text, StringConstraints(max_length=256)]
LabelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._/-]{0,62})$")]
Argument = Annotated[Text, StringConstraints(max_length=32_768)]
EnvironmentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
WorkspacePath = Annotated[
    Text, StringConstraints(min_length=1, max_length=255), AfterValidator(_workspace_path)
]
AllowedHost = Annotated[
    Text, StringConstraints(min_length=1, max_length=270), AfterValidator(_allowed_host)
]
# What an operator's list has: the same, and '*' for every name.
HostEntry = Annotated[
    Text, StringConstraints(min_length=1, max_length=270), AfterValidator(_host_rule)
]
Json = Annotated[JsonValue, AfterValidator(_bounded_json)]
# Bounded as a whole, however many names it has.
JsonObject = Annotated[
    dict[str, JsonValue], Field(max_length=256), at_most(256), AfterValidator(_bounded_json)
]
Encoding = Literal["utf-8", "base64"]


def decode_content(content: str, encoding: Encoding) -> bytes:
    """Return the bytes of `content`. Raises ValueError when it is not valid base64."""
    if encoding == "utf-8":
        return content.encode()
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"is not valid base64: {error}") from error
