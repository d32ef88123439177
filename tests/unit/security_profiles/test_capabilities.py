"""The table of capabilities and the check of those that a request adds."""

import re
from pathlib import Path

import pytest

from security_profiles import (
    CAPABILITY_BITS,
    DANGEROUS_CAPABILITIES,
    PROFILE_NAMES,
    DangerousCapabilityError,
    UnknownCapabilityError,
    check_capabilities,
    get_profile,
)
from tests.harness import missing

HEADER = Path("/usr/include/linux/capability.h")
DANGEROUS = {"SYS_ADMIN", "SYS_MODULE", "SYS_BOOT", "SYS_RAWIO", "DAC_READ_SEARCH"}


def test_table_is_the_kernels() -> None:
    if not HEADER.is_file():
        missing(f"{HEADER} is not here: apt-get install linux-libc-dev")
    found = re.findall(r"#define CAP_(\w+)\s+(\d+)\s*$", HEADER.read_text(), re.MULTILINE)
    assert {name: int(bit) for name, bit in found} == CAPABILITY_BITS


def test_bits_run_from_0_to_40() -> None:
    assert list(CAPABILITY_BITS.values()) == list(range(41))
    assert (CAPABILITY_BITS["CHOWN"], CAPABILITY_BITS["SYS_ADMIN"]) == (0, 21)
    assert CAPABILITY_BITS["CHECKPOINT_RESTORE"] == 40


def test_dangerous_ones_are_those_that_own_the_host_each_with_a_reason() -> None:
    assert DANGEROUS_CAPABILITIES.keys() == DANGEROUS
    assert all(len(reason) > 10 for reason in DANGEROUS_CAPABILITIES.values())


@pytest.mark.parametrize("profile", PROFILE_NAMES)
def test_capabilities_of_the_profiles_pass_the_check(profile: str) -> None:
    check_capabilities(get_profile(profile).allowed_capabilities)


@pytest.mark.parametrize("name", sorted(DANGEROUS))
def test_dangerous_one_needs_the_operator_by_name(name: str) -> None:
    with pytest.raises(DangerousCapabilityError, match=rf"^{name} .*AGENTCORE_EXTRA_CAPABILITIES"):
        check_capabilities(["NET_RAW", name], permitted=sorted(DANGEROUS - {name}))
    check_capabilities(["NET_RAW", name], permitted=[name])


@pytest.mark.parametrize("written", ["CAP_NET_RAW", "net_raw", "cap_net_raw", "Net_Raw"])
def test_other_spelling_is_refused_with_the_right_one(written: str) -> None:
    with pytest.raises(UnknownCapabilityError, match=f"write NET_RAW, not {written}"):
        check_capabilities([written])


@pytest.mark.parametrize("written", ["NET_ROW", "", "ALL", "CAP_", "SYS_ADMIN\n", "NET_RAW "])
def test_unknown_name_is_refused(written: str) -> None:
    with pytest.raises(UnknownCapabilityError):
        check_capabilities([written])


def test_unknown_name_is_refused_in_the_operators_list_too() -> None:
    with pytest.raises(UnknownCapabilityError, match="write SYS_ADMIN"):
        check_capabilities([], permitted=["CAP_SYS_ADMIN"])
