"""What a sandbox may reach, decided without a network: every way round it is a row here."""

from ipaddress import IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.addresses import carried, special_use
from models.hosts import canonical_host, parse_rule, refusal
from tests.unit.special_addresses import SPECIAL_ADDRESSES
from worker.sandbox.egress.policy import DEFAULT_PORTS, DeniedError, Policy

PUBLIC, PUBLIC_6 = ip_address("93.184.216.34"), ip_address("2606:2800:220::1")
SPECIAL = [ip_address(text.partition("%")[0]) for text, _ in SPECIAL_ADDRESSES]


def reason(call, *arguments):
    """Return why a destination is refused, or None when it is not."""
    try:
        call(*arguments)
    except DeniedError as error:
        assert str(error) == error.reason
        return error.reason
    return None


def asked(policy, text, port=443):
    """Return why a host is refused before any lookup, as a client writes it."""
    return reason(policy.check_host, canonical_host(text), port)


def resolved(policy, name, *addresses, port=443):
    """Return why a name that resolves to these addresses is refused."""
    return reason(policy.dialable, name, tuple(map(ip_address, addresses)), port)


# --- Names and ports -------------------------------------------------------------------------


def test_an_empty_list_reaches_nothing():
    policy = Policy(allowed=())
    assert asked(policy, "example.com") == "host_not_allowed"
    assert asked(policy, "8.8.8.8") == "address_not_allowed"
    assert resolved(policy, "example.com", "8.8.8.8") == "host_not_allowed"


@pytest.mark.parametrize(
    ("text", "port", "why"),
    [
        ("example.com", 443, None),
        ("example.com", 80, None),
        ("EXAMPLE.com.", 443, None),
        ("example.com", 8443, "port_not_allowed"),
        ("example.com", 22, "port_not_allowed"),
        ("example.com", 0, "port_not_allowed"),
        ("example.com", 65_536, "port_not_allowed"),
        ("example.com", -443, "port_not_allowed"),
        ("sub.example.com", 443, "host_not_allowed"),
        ("example.com.evil.net", 443, "host_not_allowed"),
        ("notexample.com", 443, "host_not_allowed"),
        ("ex\u0430mple.com", 443, "host_not_allowed"),
        ("a.wild.com", 443, None),
        ("a.b.wild.com", 80, None),
        ("wild.com", 443, "host_not_allowed"),
        ("notwild.com", 443, "host_not_allowed"),
        ("ported.com", 8443, None),
        ("ported.com", 443, "port_not_allowed"),
        ("localhost", 80, "host_not_allowed"),
        ("1.1.1.1", 443, None),
        ("1.1.1.1", 53, "port_not_allowed"),
        ("16843009", 443, None),
        ("9.9.9.9", 443, "address_not_allowed"),
        ("127.0.0.1", 80, "address_not_allowed"),
        ("2130706433", 80, "address_not_allowed"),
        ("0177.0.0.1", 80, "address_not_allowed"),
        ("169.254.169.254", 80, "address_not_allowed"),
        ("[fd00:ec2::254]", 80, "address_not_allowed"),
        ("[::ffff:1.1.1.1]", 443, "address_not_allowed"),
        ("[::ffff:127.0.0.1]", 80, "address_not_allowed"),
        ("[2606:4700::1111]", 443, None),
        ("[2606:4700::1112]", 443, "address_not_allowed"),
    ],
)
def test_only_what_is_listed_is_reached(text, port, why):
    policy = Policy.parsed(
        ["example.com", "*.wild.com", "ported.com:8443", "1.1.1.1", "2606:4700::1111"]
    )
    assert asked(policy, text, port) == why


@pytest.mark.parametrize(
    "host", ["EXAMPLE.com", "A.example.com", "example.com.", "127.0.0.1", "0x7f.1", "a b", "", "*"]
)
def test_a_host_that_is_not_in_its_one_spelling_is_refused(host):
    policy = Policy.parsed(["example.com", "*.example.com"], denied=["a.example.com"])
    assert reason(policy.check_host, host, 443) == "invalid_host"


def test_two_entries_for_one_host_allow_the_ports_of_both():
    policy = Policy.parsed(["a.com", "a.com:8443"])
    assert [asked(policy, "a.com", port) for port in (80, 443, 8443)] == [None] * 3


# --- What a name resolves to -----------------------------------------------------------------


@pytest.mark.parametrize("address", SPECIAL, ids=str)
def test_an_allowed_name_never_leads_to_a_special_address(address):
    # Everything that a request may list without an operator's word, but for private networks.
    policy = Policy.parsed(["example.com", "*.com", "0.0.0.0/0", "::/0", "128.0.0.0/1", "8000::/1"])
    assert resolved(policy, "example.com", str(address)) == "address_not_allowed"
    assert asked(policy, str(address)) == "address_not_allowed"


@given(st.sampled_from(SPECIAL), st.sampled_from([0xFFFF << 32, 0x64_FF9B << 96, 0, 0xFFFF << 48]))
def test_a_special_address_inside_another_is_refused(address, prefix):
    policy = Policy.parsed(["example.com", "0.0.0.0/0", "::/0", "10.0.0.0/8", "fc00::/7"])
    value = int(address) & 0xFFFF_FFFF
    for form in (
        prefix | value,
        0x2002 << 112 | value << 80,
        0x2001_0000 << 96 | value << 64,
        0x2001_0000_0808_0808 << 64 | value ^ 0xFFFF_FFFF,
    ):
        assert resolved(policy, "example.com", str(IPv6Address(form))) == "address_not_allowed"


@given(st.ip_addresses())
def test_without_an_operators_word_only_public_and_private_addresses_are_dialled(address):
    allowed = ["example.com", "0.0.0.0/0", "::/0", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
               "fc00::/7"]  # fmt: skip
    assert not any(refusal(parse_rule(entry), None, ()) for entry in allowed)
    policy = Policy.parsed(allowed)
    why = None if special_use(address) in (None, "private") else "address_not_allowed"
    assert resolved(policy, "example.com", str(address)) == why
    assert reason(policy.check_host, address, 443) == why


def test_all_addresses_of_a_name_are_dialled_in_their_order():
    policy = Policy.parsed(["example.com"])
    assert policy.dialable("example.com", [PUBLIC_6, PUBLIC, PUBLIC_6], 443) == (PUBLIC_6, PUBLIC)


@pytest.mark.parametrize("bad", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1"])
def test_one_bad_address_refuses_the_name(bad):
    policy = Policy.parsed(["example.com"])
    for addresses in ([bad, PUBLIC], [PUBLIC, bad], [PUBLIC_6, PUBLIC, bad]):
        assert resolved(policy, "example.com", *addresses) == "address_not_allowed"


def test_a_name_without_addresses_is_not_found():
    assert resolved(Policy.parsed(["example.com"]), "example.com") == "name_not_found"


def test_a_listed_network_opens_private_addresses_to_listed_names():
    policy = Policy.parsed(["db.example", "10.0.0.0/8"])
    assert resolved(policy, "db.example", "10.1.2.3") is None
    assert resolved(policy, "db.example", "192.168.1.1") == "address_not_allowed"
    assert resolved(policy, "other.example", "10.1.2.3") == "host_not_allowed"


def test_a_listed_network_is_dialled_directly_on_its_own_ports():
    policy = Policy.parsed(["10.0.0.0/8", "10.1.2.3:5432"])
    assert [asked(policy, "10.9.9.9", port) for port in DEFAULT_PORTS] == [None, None]
    assert asked(policy, "10.1.2.3", 5432) is None
    assert asked(policy, "10.9.9.9", 5432) == "port_not_allowed"


def test_the_entry_of_the_name_decides_on_its_port():
    policy = Policy.parsed(["db.example:5432", "10.0.0.0/8", "fd00::/8", "[fd12::1]:22"])
    assert resolved(policy, "db.example", "10.1.2.3", port=5432) is None
    assert resolved(policy, "db.example", "10.1.2.3", port=22) == "port_not_allowed"
    narrow = Policy.parsed(["db.example:5432", "10.0.0.0/8:6432"])
    assert resolved(narrow, "db.example", "10.1.2.3", port=5432) == "address_not_allowed"


def test_an_address_leads_to_itself_alone():
    policy = Policy.parsed(["1.1.1.1", "8.8.8.8"])
    host = ip_address("1.1.1.1")
    assert policy.dialable(host, [host], 443) == (host,)
    assert resolved(policy, host, "8.8.8.8") == "address_not_allowed"


# --- The operator's lists --------------------------------------------------------------------


def test_the_deny_list_wins_over_all():
    policy = Policy.parsed(
        ["*.com", "evil.com:8443", "10.0.0.0/8", "1.1.1.0/24"],
        ceiling=["*", "*:8443", "10.0.0.0/8", "0.0.0.0/0"],
        denied=["evil.com", "half.com:443", "10.1.0.0/16", "1.1.1.1", "*.bad.com"],
    )
    assert [asked(policy, "evil.com", port) for port in (80, 443, 8443)] == ["host_denied"] * 3
    assert asked(policy, "half.com", 443) == "host_denied"
    assert asked(policy, "half.com", 80) is None
    assert asked(policy, "x.bad.com") == "host_denied"
    assert asked(policy, "bad.com") is None
    assert asked(policy, "10.1.2.3") == "address_denied"
    assert asked(policy, "10.2.2.3") is None
    assert asked(policy, "1.1.1.1") == "address_denied"
    assert resolved(policy, "good.com", "1.1.1.1") == "address_denied"
    assert resolved(policy, "good.com", "1.1.1.2", "10.1.2.3") == "address_denied"


@pytest.mark.parametrize("form", ["::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::1"])
def test_the_deny_list_looks_inside_addresses(form):
    opened = ["a.com", "::ffff:0:0/96", "64:ff9b::/96", "2002::/16"]
    assert resolved(Policy.parsed(opened, ["*", *opened[1:]]), "a.com", form) is None
    policy = Policy.parsed(opened, ["*", *opened[1:]], ["1.1.1.0/24"])
    assert resolved(policy, "a.com", form) == "address_denied"


def test_a_ceiling_is_checked_again_at_each_request():
    policy = Policy.parsed(
        ["a.com", "b.com", "c.com:8443", "1.1.1.1", "10.0.0.0/8"],
        ceiling=["a.com", "*.net", "10.1.0.0/16"],
    )
    assert asked(policy, "a.com") is None
    assert asked(policy, "b.com") == "host_not_allowed"
    assert asked(policy, "c.com", 8443) == "host_not_allowed"
    assert asked(policy, "x.net") == "host_not_allowed"
    assert asked(policy, "1.1.1.1") == "address_not_allowed"
    assert asked(policy, "10.1.2.3") is None
    assert asked(policy, "10.2.2.3") == "address_not_allowed"
    assert resolved(policy, "a.com", "10.1.2.3") is None
    assert resolved(policy, "a.com", "10.2.2.3") == "address_not_allowed"
    assert resolved(policy, "a.com", str(PUBLIC)) is None


def test_a_ceiling_limits_ports():
    policy = Policy.parsed(["a.com", "1.1.1.1"], ceiling=["a.com:443", "1.1.1.1:443"])
    assert asked(policy, "a.com", 443) is None
    assert asked(policy, "a.com", 80) == "port_not_allowed"
    assert asked(policy, "1.1.1.1", 80) == "port_not_allowed"


def test_an_empty_ceiling_reaches_nothing():
    assert asked(Policy.parsed(["a.com"], ceiling=[]), "a.com") == "host_not_allowed"


@pytest.mark.parametrize("address", [str(address) for address in SPECIAL])
def test_an_operator_opens_a_special_address_by_naming_it(address):
    special = ip_address(address)
    inside = [str(inner) for inner in carried(special) if special_use(inner)]
    ceiling = ["*", address, *inside]
    assert resolved(Policy.parsed(["a.com", address, *inside], ceiling), "a.com", address) is None
    # Neither side opens it alone, nor does a ceiling that is wider than the block.
    assert resolved(Policy.parsed(["a.com"], ceiling), "a.com", address) == "address_not_allowed"
    broad = ["*", "0.0.0.0/0", "::/0"]
    listed = Policy.parsed(["a.com", address, *inside], broad)
    assert resolved(listed, "a.com", address) == "address_not_allowed"


def test_a_translator_that_is_opened_leads_to_no_special_address_inside():
    opened = ["a.com", "64:ff9b::/96"]
    policy = Policy.parsed(opened, ["*", "64:ff9b::/96"])
    assert resolved(policy, "a.com", "64:ff9b::8.8.8.8") is None
    for inside in ("127.0.0.1", "169.254.169.254", "10.0.0.1"):
        assert resolved(policy, "a.com", f"64:ff9b::{inside}") == "address_not_allowed"
    private = Policy.parsed([*opened, "10.0.0.0/8"], ["*", "64:ff9b::/96", "10.0.0.0/8"])
    assert resolved(private, "a.com", "64:ff9b::10.0.0.1") is None


@pytest.mark.parametrize("address", [str(address) for address in SPECIAL])
def test_without_a_ceiling_a_listed_special_address_is_refused_when_it_is_reached_too(address):
    policy = Policy.parsed(["a.com", address])
    why = None if special_use(ip_address(address)) == "private" else "address_not_allowed"
    assert resolved(policy, "a.com", address) == why
    assert asked(policy, address) == why


def test_a_loopback_server_of_the_operators_is_reached_on_its_port_alone():
    policy = Policy.parsed(
        ["localhost:8080", "127.0.0.1:8080"], ceiling=["*:8080", "127.0.0.1:8080"]
    )
    assert asked(policy, "127.0.0.1", 8080) is None
    assert asked(policy, "127.0.0.1", 80) == "port_not_allowed"
    assert resolved(policy, "localhost", "127.0.0.1", port=8080) is None
    assert resolved(policy, "localhost", "127.0.0.1", "::1", port=8080) == "address_not_allowed"
    assert asked(policy, "127.0.0.2", 8080) == "address_not_allowed"
