"""Where url and key come from, and that the key stays hidden."""

import logging
import os
from pathlib import Path

import httpx
import pytest
from agentcore_client import Client, ConfigError, load_config
from agentcore_client.config import config_path

SECRET = "ac_abc_verysecret"


def write_config(text: str, mode: int = 0o600) -> Path:
    path = config_path()
    path.parent.mkdir(parents=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_default_is_the_local_server_without_a_key():
    config = load_config()
    assert (config.url, config.url_from, config.key) == ("http://127.0.0.1:8002", "default", None)


def test_the_file_wins_over_the_default():
    path = write_config(f'url = "https://file.test"\nkey = "{SECRET}"\n')
    config = load_config()
    assert config.url == "https://file.test"
    assert config.key is not None
    assert config.key.get_secret_value() == SECRET
    assert config.key_from == str(path)


def test_the_environment_wins_over_the_file_and_arguments_over_both(monkeypatch):
    write_config('url = "https://file.test"\nkey = "ac_file_x"\n')
    monkeypatch.setenv("AGENTCORE_URL", "https://env.test")
    monkeypatch.setenv("AGENTCORE_API_KEY", "ac_env_x")
    config = load_config()
    assert (config.url, config.masked_key) == ("https://env.test", "ac_env_********")
    config = load_config(url="https://arg.test/", key="ac_arg_x")
    assert (config.url, config.masked_key) == ("https://arg.test", "ac_arg_********")


def test_an_empty_variable_counts_as_not_set(monkeypatch):
    monkeypatch.setenv("AGENTCORE_URL", "")
    assert load_config().url_from == "default"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_with_a_key_that_others_can_use_is_refused(mode):
    write_config(f'key = "{SECRET}"\n', mode)
    with pytest.raises(ConfigError, match="chmod 600") as caught:
        load_config()
    assert SECRET not in str(caught.value)


def test_a_file_without_a_key_may_be_readable_by_all():
    write_config('url = "https://file.test"\n', 0o644)
    assert load_config().url == "https://file.test"


def test_a_key_file_is_found_beside_the_configuration_file():
    path = write_config('key_file = "key"\n', 0o644)
    key = path.with_name("key")
    key.write_text(SECRET + "\n")
    key.chmod(0o600)
    config = load_config()
    assert config.masked_key == "ac_abc_********"
    assert config.key_from == str(key)
    key.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_config()


def test_a_key_may_come_through_a_pipe():
    reading, writing = os.pipe()
    os.write(writing, SECRET.encode() + b"\n")
    os.close(writing)
    try:
        config = load_config(key_file=Path(f"/dev/fd/{reading}"))
    finally:
        os.close(reading)
    assert config.masked_key == "ac_abc_********"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("url = ", "not valid TOML"),
        ("urll = 'x'", "unknown urll"),
        ("url = 3", "url must be a string"),
    ],
)
def test_a_wrong_file_is_named(text, message):
    path = write_config(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_config()
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "url", ["ftp://x", "127.0.0.1:8002", "http://", "http://me:pw@x", "http://x/?a=1", "http://x\n"]
)
def test_a_wrong_url_is_refused_without_repeating_it(url):
    with pytest.raises(ConfigError, match=r"URL \(from argument\)") as caught:
        load_config(url=url)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("key", ["ac_a_\nb", "ac_a_ b", "ac_a_é"])
def test_a_key_that_no_header_can_carry_is_refused_without_repeating_it(key):
    with pytest.raises(ConfigError) as caught:
        load_config(key=key)
    assert key not in str(caught.value)


def test_the_key_is_in_no_repr_log_or_error(caplog, clock):
    caplog.set_level(logging.DEBUG)

    def refuse(request):
        raise httpx.ConnectError("refused", request=request)

    client = Client("http://api.test", SECRET, transport=httpx.MockTransport(refuse))
    with client, pytest.raises(Exception, match="cannot reach") as caught:
        client.profiles()
    shown = [repr(client), repr(vars(client)), repr(load_config(key=SECRET)), repr(caught.value)]
    assert "verysecret" not in "".join([*shown, caplog.text])


def test_an_environment_proxy_never_sees_requests_to_this_machine(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:1")
    with Client("http://127.0.0.1:8002") as client:
        assert client._transport._http._mounts == {}
    with Client("http://api.test") as client:
        assert client._transport._http._mounts != {}
