"""What an address is set aside for: by the registries, by the clouds, and by what is inside it."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from models.addresses import block_of, carried, special_use
from tests.unit.special_addresses import SPECIAL_ADDRESSES

MAPPED, NAT64, SIX_TO_FOUR = 0xFFFF << 32, 0x64_FF9B << 96, 0x2002 << 112


@pytest.mark.parametrize(("text", "use"), SPECIAL_ADDRESSES)
def test_an_address_of_special_use_is_told_by_its_use(text, use):
    assert special_use(ip_address(text)) == use


@pytest.mark.parametrize(
    "text",
    ["1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
     "126.255.255.255", "128.0.0.0", "168.63.129.15", "168.63.129.17", "169.253.255.255",
     "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255",
     "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "2000::1", "2001:200::1",
     "2001:4860:4860::8888", "2003::1", "2606:4700::1111", "2a00::1", "3ffe:ffff::1"],
)  # fmt: skip
def test_a_public_address_has_no_special_use(text):
    assert special_use(ip_address(text)) is None


@given(st.ip_addresses())
@example(ip_address("192.0.0.170"))
@example(ip_address("5f00::1"))
def test_what_the_standard_library_holds_for_not_global_is_special(address):
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert special_use(address) is not None


@given(st.ip_addresses(v=4), st.integers(0, 2**80 - 1))
def test_an_ipv4_address_inside_another_is_found(inner, rest):
    value = int(inner)
    forms = {
        "IPv4-mapped": MAPPED | value,
        "NAT64": NAT64 | value,
        "6to4": SIX_TO_FOUR | value << 80 | rest,
        "IPv4-translated": 0xFFFF << 48 | value,
        "Teredo": 0x2001_0000 << 96 | rest & ~0xFFFF_FFFF | value ^ 0xFFFF_FFFF,
    }
    for use, form in forms.items():
        outer = IPv6Address(form)
        assert inner in carried(outer)
        told = special_use(outer)
        assert told is not None
        assert told.startswith(use)
        if use != "Teredo" and (inside := special_use(inner)):
            assert told == f"{use} {inside}"


@given(st.ip_addresses(v=4), st.ip_addresses(v=4), st.integers(0, 2**32 - 1))
def test_both_addresses_of_a_teredo_address_are_found(server, client, flags_and_port):
    outer = 0x2001_0000 << 96 | int(server) << 64 | flags_and_port << 32 | ~int(client) % 2**32
    assert carried(IPv6Address(outer)) == (server, client)


@pytest.mark.parametrize("text", ["::", "::1", "8.8.8.8", "2606:4700::1", "fd00::7f00:1"])
def test_an_address_that_carries_no_other_has_none_inside(text):
    assert carried(ip_address(text)) == ()


@pytest.mark.parametrize(
    ("text", "use"),
    [("10.0.0.0/8", "private"), ("10.1.0.0/16", "private"), ("0.0.0.0/0", None),
     ("8.0.0.0/6", None), ("169.254.0.0/16", "link-local"), ("169.254.169.254/32", "metadata"),
     ("0.0.0.0/8", "this network"), ("::/0", None), ("::/8", "reserved"), ("fc00::/7", "private"),
     ("fd00:ec2::/32", "metadata"), ("fd00::/8", "private"), ("2000::/3", None)],
)  # fmt: skip
def test_a_network_belongs_to_the_smallest_block_that_holds_all_of_it(text, use):
    block = block_of(ip_network(text))
    assert (block and block.use) == use


@given(st.ip_addresses())
def test_the_block_of_an_address_holds_it(address):
    block = block_of(address)
    if block is not None:
        assert address in block.network
        assert special_use(address).startswith(block.use)
    else:
        assert not isinstance(address, IPv4Address) or int(address) < 0xE000_0000
