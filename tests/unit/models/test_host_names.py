"""The one spelling of a host: however it is written, it is judged as what would be dialled."""

import re
import socket
import unicodedata
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.addresses import special_use
from models.host_names import MAX_NAME_CHARS, canonical_host
from tests.unit.special_addresses import SPECIAL_ADDRESSES

# Without the one that names an interface, which is no host.
SPECIAL = [ip_address(text) for text, _ in SPECIAL_ADDRESSES if "%" not in text]
any_text = st.text(st.characters(codec=None, exclude_categories=()))
numeric_text = st.text("0123456789abfxX.", max_size=24)
host_text = st.one_of(
    any_text,
    numeric_text,
    st.text("aB0.-_*:/%[]@xn １\u017f\u212a\u0130\u0663\u3002\n\x00", max_size=40),
    st.lists(any_text, min_size=1, max_size=4).map(".".join),
    st.ip_addresses().map(str),
    st.builds("xn--{}.com".format, st.text("abc019-", max_size=12)),
)


def canonical(text):
    """Return the canonical host, or None when it was refused in the proper way."""
    try:
        return canonical_host(text)
    except ValueError as error:
        assert str(error)
        return None


# --- IPv4 ------------------------------------------------------------------------------------


def ipv4_forms(value):
    """Return a strategy of the texts that inet_aton takes for an address."""

    def number(part):
        zeros = st.integers(0, 3).map("0".__mul__)
        return st.one_of(
            st.just(str(part)),
            st.builds("0{}{:o}".format, zeros, st.just(part)),
            st.builds("0{}{}{:x}".format, st.sampled_from("xX"), zeros, st.just(part)),
            st.builds("0x{}{:X}".format, zeros, st.just(part)),
        )

    def parts(count):
        heads = [value >> 24 - 8 * index & 0xFF for index in range(count - 1)]
        return [*heads, value & (1 << 8 * (5 - count)) - 1]

    return st.integers(1, 4).flatmap(
        lambda count: st.tuples(*map(number, parts(count))).map(".".join)
    )


values_and_forms = st.ip_addresses(v=4).flatmap(
    lambda address: st.tuples(st.just(address), ipv4_forms(int(address)))
)


@given(values_and_forms, st.sampled_from(["", "."]))
def test_every_form_of_an_ipv4_address_is_that_address(value_and_form, dot):
    address, form = value_and_form
    assert IPv4Address(socket.inet_aton(form)) == address
    assert canonical_host(form + dot) == address


@given(numeric_text)
@example("0x")
@example("0x.1")
@example("08")
@example("1.2.3.4.5")
@example("256.1.1.1")
@example("1.2.3.256")
@example("1.2.65536")
@example("4294967296")
@example("99999999999999999999999")
@example("00000000000000000000177.1")
@example("0x7f.1")
@example("1..2")
def test_a_text_is_an_ipv4_address_exactly_when_inet_aton_says_so(text):
    try:
        expected = IPv4Address(socket.inet_aton(text))
    except OSError:
        assert not isinstance(canonical(text), IPv4Address) or text.endswith(".")
    else:
        assert canonical_host(text) == expected


@pytest.mark.parametrize(
    ("text", "address"),
    [("0177.0.0.1", "127.0.0.1"), ("0x7f.1", "127.0.0.1"), ("0X7F000001", "127.0.0.1"),
     ("2130706433", "127.0.0.1"), ("127.1", "127.0.0.1"), ("127.0.1", "127.0.0.1"),
     ("127.0.0.1.", "127.0.0.1"), ("0", "0.0.0.0"), ("2852039166", "169.254.169.254"),
     ("0xA9FEA9FE", "169.254.169.254"), ("0251.0376.0251.0376", "169.254.169.254"),
     ("169.254.43518", "169.254.169.254")],
)  # fmt: skip
def test_a_disguised_ipv4_address_is_judged_as_the_address(text, address):
    assert canonical_host(text) == ip_address(address)


@given(st.sampled_from(SPECIAL), st.data())
def test_an_address_of_special_use_stays_special_in_every_form(address, data):
    if isinstance(address, IPv4Address):
        value = int(address)
        forms = [
            data.draw(ipv4_forms(value)),
            f"::ffff:{address}",
            f"[0:0:0:0:0:FFFF:{value >> 16:X}:{value & 0xFFFF:04x}]",
            f"64:ff9b::{address}",
            str(IPv6Address(0x2002 << 112 | value << 80)),
            str(IPv6Address(0x2001_0000_0808_0808 << 64 | value ^ 0xFFFF_FFFF)),
        ]
    else:
        forms = [str(address), address.exploded.upper(), f"[{address.exploded}]"]
    for form in forms:
        host = canonical_host(form)
        assert not isinstance(host, str)
        assert special_use(address).split()[-1] in special_use(host)


# --- IPv6 ------------------------------------------------------------------------------------


@given(st.ip_addresses(v=6))
def test_every_form_of_an_ipv6_address_is_that_address(address):
    for form in (str(address), address.exploded, address.exploded.upper()):
        assert canonical_host(form) == address
        assert canonical_host(f"[{form}]") == address


@pytest.mark.parametrize(
    "text",
    ["[", "[]", "[::1", "::1]", "[[::1]]", "[127.0.0.1]", "[a.com]", "::1%eth0", "[::1%25lo]",
     "fe80::1%1", "::1/128", "1::2::3", "::g", ":", ":::", "::1.", "::1\n", "::ffff:0177.0.0.1",
     "::ffff:1.2.3", "[v1.a]", "a.com:80", "127.0.0.1:80", "[::1]:80", "::\u0661"],
)  # fmt: skip
def test_what_is_no_ipv6_address_is_refused(text):
    with pytest.raises(ValueError, match=r"IPv6|interface"):
        canonical_host(text)


# --- Names -----------------------------------------------------------------------------------


@given(host_text)
@example("xn--bcher-kva.example")
@example("b\u00fccher.example")
@example("\u0967\u0968.0")
def test_the_canonical_form_is_its_own_canonical_form(text):
    host = canonical(text)
    if host is not None:
        assert canonical_host(str(host)) == host


@given(host_text)
@example("a.0x")
@example("a.1.")
@example("a.\uff11")
@example("xn--1")
def test_a_canonical_name_is_plain_and_never_ends_in_a_number(text):
    name = canonical(text)
    if isinstance(name, str):
        assert re.fullmatch(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*", name)
        assert len(name) <= MAX_NAME_CHARS
        assert not re.fullmatch(r"[0-9]+|0x[0-9a-f]*", name.rsplit(".", 1)[-1])
        with pytest.raises(OSError, match=r"illegal"):
            socket.inet_aton(name)


@pytest.mark.parametrize(
    ("text", "name"),
    [("EXAMPLE.com", "example.com"), ("example.com.", "example.com"), ("db", "db"),
     ("_dmarc.a_b.com", "_dmarc.a_b.com"), ("r3---sn.example", "r3---sn.example"),
     ("b\u00fccher.example", "xn--bcher-kva.example"), ("XN--Bcher-KVA.example",
     "xn--bcher-kva.example"), ("1.2.3.4.example", "1.2.3.4.example"), ("0x7f.g", "0x7f.g"),
     ("a" * 63 + ".com", "a" * 63 + ".com"), ("ab." * 84 + "a", "ab." * 84 + "a"),
     ("localhost", "localhost"),
     ("stra\u00dfe.example", "xn--strae-oqa.example")],
)  # fmt: skip
def test_a_name_is_brought_to_its_one_spelling(text, name):
    assert canonical_host(text) == name


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "]", "a..b", ".a", "a..", "-a", "a-", "a.-b", "*", "*.a.com", "a*", "a b", " a",
     "a ", "a\tb", "a\n", "a\r\nb", "a\x00", "a\x00.com", "a%2ecom", "a%00", "%31", "user@a.com",
     "a.com@b.com", "a/b", "a\\b", "a?b", "a#b", "a,b", "a;b", "a+b", "a'b", 'a"b', "a$b", "a\x7f",
     "a" * 64, ".".join(["a" * 63] * 4), "ab." * 84 + "ab", ".".join(["\u00fc" * 50] * 5),
     "\ud800.com", "xn--", "xn--a-", "xn--example-",
     "xn--\u00fc", "xn--zzzzzzzzz99999", "xn---bbk", "xn--1", "B\u00dcCHER.example",
     "exa\u00admple.com", "exa\u200bmple.com", "a\u3002com", "a\uff0ecom", "\uff41.com",
     "\uff11\uff12\uff17.0.0.1", "127.0.0.\u0661", "\u2460.com", "\u212a.com", "\u017f.com",
     "\u0130.com", "\u2100.com", "\U0001f600.com", "a.com\u2028", "1.2.3.4.5", "a.1", "a.0x1f",
     "08.1", "256.256.256.256", "0x.0x", "-1", "+1", "1.2.3.-4", "1e3.1"],
)  # fmt: skip
def test_what_is_no_host_is_refused(text):
    with pytest.raises(ValueError, match=r"\w"):
        canonical_host(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [("example.com", "ex\u0430mple.com"), ("paypal.com", "p\u0430yp\u0430l.com"),
     ("apple.com", "\u0430\u0440\u0440\u04cf\u0435.com"), ("google.com", "goog\u04cfe.com"),
     ("strasse.de", "stra\u00dfe.de"), ("a.com", "\u03b1.com"), ("a-b.com", "a\u2010b.com"),
     ("ib.com", "\u0131b.com"), ("k.com", "\u212a.com")],
)  # fmt: skip
def test_names_that_only_look_alike_stay_two(one, other):
    assert unicodedata.normalize("NFC", other) != one
    assert canonical_host(one) == one
    assert canonical(other) != one


@given(st.text(st.characters(min_codepoint=128, codec="utf-8"), min_size=1, max_size=5))
@example("\u00fc")
@example("\u017f")
@example("\uff41")
def test_no_character_outside_ascii_becomes_one_inside(text):
    host = canonical(f"{text}.com")
    assert host is None or host.startswith("xn--")


def test_an_endless_text_is_refused_at_once():
    for text in ("a" * 10**6, "a." * 10**6, "\u00fc" * 10**6, "1" * 10**6, "[" + ":" * 10**6):
        with pytest.raises(ValueError, match=r"characters|IPv6"):
            canonical_host(text)
