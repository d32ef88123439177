"""Where the server is and which key to show it: arguments, environment, file, default."""

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from agentcore_client.errors import ConfigError
from agentcore_client.secrets_file import read_private, read_text, shared_error

DEFAULT_URL = "http://127.0.0.1:8002"
URL_VARIABLE = "AGENTCORE_URL"
KEY_VARIABLE = "AGENTCORE_API_KEY"
ARGUMENT = "argument"
KNOWN_SETTINGS = frozenset({"url", "key", "key_file"})


@dataclass(frozen=True, kw_only=True)
class Config:
    """What is in force. `url_from` and `key_from` say in words where each value came from."""

    url: str
    url_from: str
    key: SecretStr | None
    key_from: str

    @property
    def is_loopback(self) -> bool:
        """Whether the server is this very machine."""
        return _is_loopback(httpx.URL(self.url).host)

    @property
    def is_encrypted_or_local(self) -> bool:
        """Whether nobody on the way can read the key."""
        return self.is_loopback or self.url.startswith("https://")

    @property
    def masked_key(self) -> str:
        """The key as it may be shown: only its public part."""
        if self.key is None:
            return "not set"
        parts = self.key.get_secret_value().split("_", 2)
        return f"ac_{parts[1]}_********" if len(parts) == 3 and parts[0] == "ac" else "********"


def config_path(environment: Mapping[str, str] | None = None) -> Path:
    """Return where the configuration file is looked for (XDG base directories)."""
    environment = os.environ if environment is None else environment
    base = environment.get("XDG_CONFIG_HOME", "")
    # The standard says to ignore a relative path here.
    folder = Path(base) if Path(base).is_absolute() else Path.home() / ".config"
    return folder / "agentcore" / "config.toml"


def load_config(
    *,
    url: str | None = None,
    key: str | None = None,
    key_file: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Return what is in force. Raises ConfigError naming the source of a wrong value."""
    environment = os.environ if environment is None else environment
    path = config_path(environment)
    file = _read_file(path)
    found_url, url_from = _first(
        (url, ARGUMENT),
        (environment.get(URL_VARIABLE), URL_VARIABLE),
        (file.get("url"), str(path)),
        (DEFAULT_URL, "default"),
    )
    found_key, key_from = _first(
        (key, ARGUMENT),
        (_key_in(key_file), str(key_file)),
        (environment.get(KEY_VARIABLE), KEY_VARIABLE),
        (file.get("key"), str(path)),
    )
    if not found_key and file.get("key_file"):
        key_path = path.parent / Path(file["key_file"]).expanduser()
        found_key, key_from = _key_in(key_path), str(key_path)
    return Config(
        url=_checked_url(found_url or DEFAULT_URL, url_from),
        url_from=url_from,
        key=_checked_key(found_key, key_from) if found_key else None,
        key_from=key_from,
    )


def _first(*candidates: tuple[str | None, str]) -> tuple[str | None, str]:
    """Return the first value that is set; an empty one counts as not set."""
    return next((item for item in candidates if item[0]), (None, "not set"))


def _key_in(path: Path | None) -> str | None:
    if path is None:
        return None
    key = read_private(path).strip()
    if not key:
        raise ConfigError(f"{path} is empty; it must hold the API key")
    return key


def _read_file(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    text, shared = read_text(path)
    try:
        file = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    if unknown := set(file) - KNOWN_SETTINGS:
        known = ", ".join(sorted(KNOWN_SETTINGS))
        raise ConfigError(f"{path}: unknown {min(unknown)}; known: {known}")
    if wrong := [name for name, value in file.items() if not isinstance(value, str)]:
        raise ConfigError(f"{path}: {wrong[0]} must be a string")
    if "key" in file and shared:
        raise shared_error(path)
    return file


def _checked_url(url: str, source: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigError(f"the server's URL (from {source}) is not a URL: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigError(f"the server's URL (from {source}) must be like {DEFAULT_URL}")
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise ConfigError(f"the server's URL (from {source}) must end after host, port and path")
    return str(parsed).rstrip("/")


def _checked_key(key: str, source: str) -> SecretStr:
    # Checked here, for the HTTP library would quote a header that it cannot send.
    if not all("!" <= char <= "~" for char in key):
        raise ConfigError(f"the API key (from {source}) has characters that no key has")
    return SecretStr(key)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
