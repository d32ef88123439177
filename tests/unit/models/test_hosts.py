"""What an entry of a list of hosts means, what it covers, and when a request may have it."""

from ipaddress import ip_address

import pytest

from models.hosts import covered, covers, denies, parse_rule, refusal
from tests.unit.special_addresses import SPECIAL_ADDRESSES

HOSTS = [
    "com", "a.com", "b.a.com", "*.com", "*.a.com", "*", "0.0.0.0/0", "8.0.0.0/6", "1.1.1.1",
    "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "127.0.0.0/8", "127.0.0.1", "169.254.0.0/16",
    "169.254.169.254", "168.63.0.0/16", "100.64.0.0/10", "100.100.100.200", "::/0", "fc00::/7",
    "fd00:ec2::254", "::ffff:0:0/96", "::ffff:1.1.1.1", "2606:4700::/32", "2606:4700::1",
]  # fmt: skip
ENTRIES = [
    host if port is None else f"[{host}]:{port}" if "::" in host else f"{host}:{port}"
    for host in HOSTS
    for port in (None, 80, 5432)
]
# At least one that sets any two of the hosts apart.
PLACES = [
    "com", "a.com", "b.a.com", "c.a.com", "d.com", "net",
    *map(ip_address, [
        "1.1.1.1", "2.2.2.2", "8.8.8.8", "10.1.2.3", "10.1.9.9", "10.9.9.9", "127.0.0.1",
        "127.9.9.9", "168.63.1.1", "169.254.1.1", "169.254.169.254", "100.64.0.1",
        "100.100.100.200", "2606:4700::1", "2606:4700::2", "2a00::1", "fd12::1", "fd00:ec2::254",
        "::ffff:1.1.1.1", "::ffff:2.2.2.2",
    ]),
]  # fmt: skip


def parsed(*texts):
    return tuple(map(parse_rule, texts))


def allows(rule, place, port):
    """What a rule allows to be dialled: the plain meaning, for the tests below."""
    meant = rule.matches(place) if isinstance(place, str) else rule.opens(place)
    return meant and port in rule.ports


# --- Parsing ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "text", "name", "wildcard", "network", "port"),
    [
        ("API.Example.com", "api.example.com", "api.example.com", False, None, None),
        ("example.com.", "example.com", "example.com", False, None, None),
        ("db", "db", "db", False, None, None),
        ("a_b.com", "a_b.com", "a_b.com", False, None, None),
        ("example.com:8443", "example.com:8443", "example.com", False, None, 8443),
        ("example.com.:080", "example.com:80", "example.com", False, None, 80),
        ("*.Example.com", "*.example.com", "example.com", True, None, None),
        ("*.example.com:8443", "*.example.com:8443", "example.com", True, None, 8443),
        ("*", "*", "", True, None, None),
        ("*:8080", "*:8080", "", True, None, 8080),
        ("xn--bcher-kva.de", "xn--bcher-kva.de", "xn--bcher-kva.de", False, None, None),
        ("1.2.3.4", "1.2.3.4", "", False, "1.2.3.4/32", None),
        ("1.2.3.4/32", "1.2.3.4", "", False, "1.2.3.4/32", None),
        ("1.2.3.4:80", "1.2.3.4:80", "", False, "1.2.3.4/32", 80),
        ("10.0.0.0/8", "10.0.0.0/8", "", False, "10.0.0.0/8", None),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/8", "", False, "10.0.0.0/8", None),
        ("10.0.0.0/8:5432", "10.0.0.0/8:5432", "", False, "10.0.0.0/8", 5432),
        ("::1", "::1", "", False, "::1/128", None),
        ("[::1]", "::1", "", False, "::1/128", None),
        ("[0:0::1]:80", "[::1]:80", "", False, "::1/128", 80),
        ("::1:80", "::1:80", "", False, "::1:80/128", None),
        ("2001:DB8::/32", "2001:db8::/32", "", False, "2001:db8::/32", None),
        ("[2001:db8::/32]:443", "[2001:db8::/32]:443", "", False, "2001:db8::/32", 443),
    ],
)
def test_an_entry_means_what_it_says(entry, text, name, wildcard, network, port):
    rule = parse_rule(entry)
    assert (rule.text, rule.name, rule.wildcard, rule.port) == (text, name, wildcard, port)
    assert (rule.network and str(rule.network)) == network


@pytest.mark.parametrize(
    "entry",
    ["", ".", "*.", "**", "*a.com", "*.*.com", "a.*.com", "*.*", "a..b", "-a.com", "a b", " a.com",
     "http://a.com", "a.com/x", "a.com/8", "user@a.com", "a.com:", "a.com:0", "a.com:65536",
     "a.com:-1", "a.com:80:80", "a.com:http", ":80", "1", "127.1", "0177.0.0.1", "0x7f.1",
     "010.0.0.1", "1.2.3", "1.2.3.4.", "1.2.3.4.5", "*.1.2.3.4", "*.10.0.0.0/8", "10.0.0.1/8",
     "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "::/129", "fe80::1%eth0", "fe80::1%25eth0",
     "[1.2.3.4]", "[1.2.3.4]:80", "[a.com]:80", "[::1", "::1]", "[::1]:", "[::1]:0", "[::1]80",
     "[*.a.com]", "[]", "[]:80", "b\u00fccher.de", "\u212a.com", "a.com:\u0663", "a.com\n",
     "a.com\x00", "a%2e.com", "xn--a-.com", "a" * 64, ".".join(["a" * 63] * 4)],
)  # fmt: skip
def test_what_is_no_entry_is_refused(entry):
    with pytest.raises(ValueError, match=r"\w"):
        parse_rule(entry)


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_text_of_a_rule_is_the_rule(entry):
    rule = parse_rule(entry)
    assert parse_rule(rule.text) == rule


# --- Matching --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "host", "yes"),
    [
        ("example.com", "example.com", True),
        ("example.com", "sub.example.com", False),
        ("example.com", "notexample.com", False),
        ("*.example.com", "sub.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "notexample.com", False),
        ("*.example.com", "example.com.evil.net", False),
        ("*", "example.com", True),
        ("example.com:8443", "example.com", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "::ffff:10.1.2.3", False),
        ("10.0.0.0/8", "example.com", False),
        ("*", "10.1.2.3", False),
        ("::/0", "10.1.2.3", False),
        ("0.0.0.0/0", "127.0.0.1", True),
    ],
)
def test_a_rule_matches_its_hosts(entry, host, yes):
    host = host if host.endswith(("com", "net")) else ip_address(host)
    assert parse_rule(entry).matches(host) is yes


@pytest.mark.parametrize(
    ("entry", "address", "yes"),
    [
        ("0.0.0.0/0", "8.8.8.8", True),
        ("0.0.0.0/0", "10.0.0.1", False),
        ("0.0.0.0/0", "127.0.0.1", False),
        ("0.0.0.0/0", "169.254.169.254", False),
        ("8.0.0.0/6", "9.1.1.1", True),
        ("8.0.0.0/6", "10.1.1.1", False),
        ("10.0.0.0/8", "10.1.1.1", True),
        ("10.1.1.1", "10.1.1.1", True),
        ("169.254.0.0/16", "169.254.1.1", True),
        ("169.254.0.0/16", "169.254.169.254", False),
        ("169.254.169.254", "169.254.169.254", True),
        ("168.63.0.0/16", "168.63.129.16", False),
        ("100.64.0.0/10", "100.100.100.200", False),
        ("fc00::/7", "fd12::1", True),
        ("fc00::/7", "fd00:ec2::254", False),
        ("::/0", "2606:4700::1", True),
        ("::/0", "::1", False),
        ("::/0", "::ffff:8.8.8.8", False),
        ("64:ff9b::/96", "64:ff9b::808:808", True),
        ("*", "8.8.8.8", False),
        ("example.com", "8.8.8.8", False),
    ],
)
def test_a_network_opens_special_addresses_only_from_inside_their_block(entry, address, yes):
    assert parse_rule(entry).opens(ip_address(address)) is yes


# --- Covering --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ceiling", "rule", "yes"),
    [
        ("example.com", "example.com", True),
        ("example.com", "example.com:443", True),
        ("example.com", "example.com:8443", False),
        ("example.com:443", "example.com", False),
        ("example.com:8443", "example.com:8443", True),
        ("example.com", "sub.example.com", False),
        ("example.com", "*.example.com", False),
        ("*.example.com", "example.com", False),
        ("*.example.com", "sub.example.com", True),
        ("*.example.com", "*.example.com", True),
        ("*.example.com", "*.sub.example.com", True),
        ("*.example.com", "*.com", False),
        ("*.sub.example.com", "*.example.com", False),
        ("*.example.com", "notexample.com", False),
        ("*", "example.com", True),
        ("*", "*.example.com", True),
        ("*", "*", True),
        ("*.com", "*", False),
        ("*", "example.com:8443", False),
        ("*:8443", "example.com:8443", True),
        ("*", "1.1.1.1", False),
        ("0.0.0.0/0", "example.com", False),
        ("0.0.0.0/0", "1.1.1.1", True),
        ("0.0.0.0/0", "0.0.0.0/0", True),
        ("0.0.0.0/0", "10.0.0.0/8", False),
        ("0.0.0.0/0", "127.0.0.1", False),
        ("0.0.0.0/0", "::/0", False),
        ("10.0.0.0/8", "10.0.0.0/8", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.1.0.0/16", "10.0.0.0/8", False),
        ("10.0.0.0/8", "0.0.0.0/0", False),
        ("10.0.0.0/8:5432", "10.1.2.3:5432", True),
        ("10.0.0.0/8:5432", "10.1.2.3", False),
        ("169.254.0.0/16", "169.254.169.254", False),
        ("169.254.169.254", "169.254.169.254", True),
        ("fc00::/7", "fd00:ec2::254", False),
        ("::/0", "::1", False),
        ("::/0", "2606:4700::/32", True),
    ],
)
def test_a_ceiling_covers_what_is_within_it(ceiling, rule, yes):
    assert covers(parse_rule(ceiling), parse_rule(rule)) is yes


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_ceiling_covers_a_rule_exactly_when_it_allows_all_that_the_rule_allows(entry):
    rule = parse_rule(entry)
    used = [
        (place, port) for place in PLACES for port in (80, 443, 5432) if allows(rule, place, port)
    ]
    assert used
    for ceiling in parsed(*ENTRIES):
        wanted = all(allows(ceiling, place, port) for place, port in used)
        assert covers(ceiling, rule) is wanted, (ceiling.text, rule.text)


def test_the_ports_of_a_rule_may_be_covered_one_by_one():
    both = parsed("a.com:80", "*.com:443")
    assert covered(both, parse_rule("a.com"))
    assert not covered(both[:1], parse_rule("a.com"))
    assert not covered((), parse_rule("a.com"))


@pytest.mark.parametrize(
    ("deny", "rule", "yes"),
    [
        ("a.com", "a.com", True),
        ("a.com", "a.com:8443", True),
        ("a.com:443", "a.com", False),
        ("a.com:443", "a.com:443", True),
        ("a.com", "*.com", False),
        ("*.com", "a.com", True),
        ("*.com", "com", False),
        ("*", "a.com", True),
        ("*", "1.1.1.1", False),
        ("0.0.0.0/0", "127.0.0.1", True),
        ("10.1.0.0/16", "10.0.0.0/8", False),
        ("10.0.0.0/8", "10.1.2.3:5432", True),
    ],
)
def test_a_deny_rule_leaves_nothing_of_what_is_within_it(deny, rule, yes):
    assert denies(parse_rule(deny), parse_rule(rule)) is yes


# --- At submit -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    ["example.com", "*.example.com:8443", "localhost", "8.8.8.8", "0.0.0.0/0", "::/0", "10.0.0.0/8",
     "172.16.0.0/12", "192.168.1.1:5432", "fc00::/7", "2606:4700::1"],
)  # fmt: skip
def test_without_a_ceiling_names_public_and_private_addresses_may_be_listed(entry):
    assert refusal(parse_rule(entry), None, ()) is None


@pytest.mark.parametrize("text", [text for text, use in SPECIAL_ADDRESSES if use != "private"])
def test_without_a_ceiling_no_other_special_address_may_be_listed(text):
    address = text.partition("%")[0]
    assert "AGENTCORE_EGRESS_CEILING" in refusal(parse_rule(address), None, ())
    single = parse_rule(address)
    # Whatever broader entry is accepted instead does not open it.
    for bits in range(0, single.network.max_prefixlen, 4):
        wider = parse_rule(str(single.network.supernet(new_prefix=bits)))
        assert refusal(wider, None, ()) or not wider.opens(ip_address(address))


def test_a_ceiling_that_names_a_special_address_lets_it_be_listed():
    ceiling = parsed("*", "127.0.0.1:8080")
    assert refusal(parse_rule("127.0.0.1:8080"), ceiling, ()) is None
    assert "127.0.0.1:8080" in refusal(parse_rule("127.0.0.1"), ceiling, ())
    assert refusal(parse_rule("10.0.0.1"), ceiling, ())


def test_an_empty_ceiling_lets_nothing_be_listed():
    assert "nothing" in refusal(parse_rule("example.com"), (), ())


def test_a_long_ceiling_is_shown_in_part():
    ceiling = parsed(*(f"h{number}.com" for number in range(50)))
    why = refusal(parse_rule("example.com"), ceiling, ())
    assert "h9.com" in why
    assert "h10.com" not in why
    assert why.endswith("...")


def test_the_deny_list_wins_over_the_ceiling():
    lists = parsed("*"), parsed("evil.com")
    assert "AGENTCORE_EGRESS_DENY" in refusal(parse_rule("evil.com"), *lists)
    assert refusal(parse_rule("*.com"), *lists) is None
