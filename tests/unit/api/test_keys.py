"""Keys: their form, and that no malformed one ever reaches the database."""

import hashlib
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import keys

WELL_FORMED = f"ac_{'0' * 16}_{'A' * 43}"


class Untouched:
    """Stands where the database session is; any use of it is a failure."""

    def __getattr__(self, name):
        pytest.fail(f"the database was asked: {name}")


@pytest.mark.parametrize(
    "key",
    ["", "ac_", "x", WELL_FORMED[:-1], WELL_FORMED + "A", WELL_FORMED.upper(), " " + WELL_FORMED,
     WELL_FORMED + " ", WELL_FORMED + "\n", WELL_FORMED + "\x00", WELL_FORMED.replace("A", "é"),
     WELL_FORMED.replace("0", "g"), WELL_FORMED.replace("0", "٠"), "ac_" + "\ud800" * 60,
     "Bearer " + WELL_FORMED, WELL_FORMED.replace("_", "-")],
)  # fmt: skip
def test_a_malformed_key_never_reaches_the_database(key):
    assert keys.caller_of(Untouched(), key) is None


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=80))
def test_a_random_text_is_no_key(key):
    assert keys.caller_of(Untouched(), key) is None


def test_only_the_hash_of_the_secret_is_kept():
    secret = secrets.token_urlsafe(32)
    assert len(secret) == 43
    assert keys._hash(secret) == hashlib.sha256(secret.encode()).digest()


@pytest.mark.parametrize("name", ["a", "search", "a-b_c", "0", "a" * 63])
def test_a_plain_name_is_taken(name):
    assert keys.NAME.match(name)


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a b", "é", "a" * 64, "a\x00", "a\n"])
def test_a_name_of_another_alphabet_is_not_taken(name):
    assert not keys.NAME.match(name)
