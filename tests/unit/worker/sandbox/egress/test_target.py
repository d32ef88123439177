"""Whom a request is for, and that its Host line says the same."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from worker.sandbox.egress import http_head, reasons, target
from worker.sandbox.egress.errors import BadRequestError, RefusedError


def plain(url: str, *lines: str, method: str = "GET", minor: int = 1) -> target.Target:
    head = "\r\n".join([f"{method} {url} HTTP/1.{minor}", *lines]).encode("latin-1")
    return target.of_request(http_head.parse_request(head))


def tunnel(authority: str, *lines: str) -> target.Target:
    head = "\r\n".join([f"CONNECT {authority} HTTP/1.1", *lines]).encode("latin-1")
    return target.of_tunnel(http_head.parse_request(head))


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "authority"),
    [
        ("http://a.test/x?y=1", "a.test", 80, "/x?y=1", "a.test"),
        ("http://a.test", "a.test", 80, "/", "a.test"),
        ("http://a.test?q", "a.test", 80, "/?q", "a.test"),
        ("HTTP://A.Test.:8080/", "a.test", 8080, "/", "a.test:8080"),
        ("http://127.1/", IPv4Address("127.0.0.1"), 80, "/", "127.0.0.1"),
        ("http://0x7f000001:81/", IPv4Address("127.0.0.1"), 81, "/", "127.0.0.1:81"),
        ("http://[::1]:8080/", IPv6Address("::1"), 8080, "/", "[::1]:8080"),
        ("http://a.test//evil.test/", "a.test", 80, "//evil.test/", "a.test"),
        ("http://a.test/http://evil.test/@x", "a.test", 80, "/http://evil.test/@x", "a.test"),
    ],
)
def test_a_url_names_host_port_and_path(url, host, port, path, authority):
    named = url.split("//", 1)[1].split("/")[0].split("?")[0]
    found = plain(url, f"Host: {named}")
    assert (found.host, found.port, found.path, found.authority()) == (host, port, path, authority)


@pytest.mark.parametrize(
    "url",
    [
        "/",
        "*",
        "a.test",
        "a.test:80",
        "http:/a.test/",
        "http:///",
        "http://:80/",
        "http://a.test:/",
        "http://a.test:0/",
        "http://a.test:65536/",
        "http://a.test:080808/",
        "http://a.test:+80/",
        "http://a.test:8_0/",
        "http://user@a.test/",
        "http://user:pass@a.test/",
        "http://a.test#x/",
        "http://a.test/#fragment",
        "http://a.test\\@evil.test/",
        "http://a%2etest/",
        "http://[::1/",
        "http://::1/",
        "http://[fe80::1%25eth0]/",
        "http://[a.test]/",
        "http://a.test:80:80/",
        "http://" + "a" * 300 + "/",
    ],
)
def test_a_url_that_could_be_read_in_two_ways_is_refused(url):
    with pytest.raises((BadRequestError, RefusedError)) as caught:
        _ = plain(url, "Host: a.test").host
    if isinstance(caught.value, RefusedError):
        assert caught.value.reason == reasons.BAD_HOST


@pytest.mark.parametrize("url", ["https://a.test/", "ftp://a.test/", "ws://a.test/", "HTTPS://a/"])
def test_other_schemes_are_refused_by_name(url):
    with pytest.raises(RefusedError) as caught:
        plain(url, "Host: a.test")
    assert caught.value.reason == reasons.BAD_SCHEME


@pytest.mark.parametrize("host", ["a.test", "A.TEST", "a.test.", "a.test:80"])
def test_the_host_line_may_spell_the_same_host_in_its_own_way(host):
    assert plain("http://a.test/", f"Host: {host}").host == "a.test"


@pytest.mark.parametrize(
    "lines",
    [
        ["Host: evil.test"],
        ["Host: a.test:8080"],
        ["Host: a.test", "Host: evil.test"],
        ["Host: a.test", "host: a.test"],
        ["Host: a.test, evil.test"],
        ["Host: a.test evil.test"],
        ["Host: evil.test@a.test"],
        ["Host:"],
        [],
    ],
)
def test_a_host_line_that_says_something_else_is_refused(lines):
    with pytest.raises(BadRequestError):
        plain("http://a.test/", *lines)


def test_http_1_0_may_leave_the_host_line_out():
    assert plain("http://a.test/", minor=0).host == "a.test"
    with pytest.raises(BadRequestError):
        plain("http://a.test/", "Host: evil.test", minor=0)


def test_options_for_a_whole_server_asks_for_the_star():
    assert plain("http://a.test", "Host: a.test", method="OPTIONS").path == "*"
    assert plain("http://a.test/", "Host: a.test", method="OPTIONS").path == "/"


@pytest.mark.parametrize("lines", [[], ["Host: a.test"], ["Host: a.test:443"], ["Host: A.TEST."]])
def test_a_tunnel_is_for_its_authority(lines):
    found = tunnel("a.test:443", *lines)
    assert (found.host, found.port) == ("a.test", 443)


@pytest.mark.parametrize(
    ("authority", "lines"),
    [
        ("a.test", []),
        ("a.test:", []),
        ("a.test:0", []),
        ("a.test:99999", []),
        ("http://a.test:443", []),
        ("a.test:443/x", []),
        ("u@a.test:443", []),
        ("a.test:443", ["Host: evil.test"]),
        ("a.test:443", ["Host: a.test:80"]),
        ("a.test:443", ["Host: a.test", "Host: a.test"]),
    ],
)
def test_a_malformed_or_contradicted_tunnel_is_refused(authority, lines):
    with pytest.raises(BadRequestError):
        tunnel(authority, *lines)
