"""Addresses of services, checked before a library chokes on one and quotes its password."""

from collections.abc import Callable
from urllib.parse import urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

DATABASE = ("postgresql", "postgresql+psycopg")
REDIS = ("redis", "rediss", "redis+socket")
AMQP = ("amqp", "amqps")
UNUSED = "unused"  # `unused://`, for processes that settings want an address for, and that use none


def scheme(url: SecretStr) -> str:
    """Return what stands before `://`."""
    return urlsplit(url.get_secret_value()).scheme


def with_scheme(*schemes: str, form: str) -> Callable[[SecretStr | None], SecretStr | None]:
    """Return a validator that refuses other addresses, in words that hold nothing of them."""

    def check(url: SecretStr | None) -> SecretStr | None:
        if url is not None and not _is_sound(url.get_secret_value(), schemes):
            raise ValueError(
                f"must be {form}; in a user's name or password write other characters than letters "
                "and digits as %2F and the like"
            )
        return url

    return check


def _is_sound(url: str, schemes: tuple[str, ...]) -> bool:
    """Whether each of the addresses, parted by `;`, is of one of the schemes, and all of the same.

    Of amqps only one is taken: kombu checks the certificates of all by the name of the first.
    """
    each = url.split(";")
    kinds = {item.partition("://")[0] for item in each}
    if kinds - {*schemes, UNUSED} or len(kinds) != 1 or (len(each) > 1 and kinds & {"amqps"}):
        return False
    return all(_is_one(item) for item in each)


def _is_one(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # not a number: something of a password was taken for it
        if parts.scheme.startswith("postgresql"):
            make_url(url)
            options = conninfo_to_dict(url.replace("postgresql+psycopg:", "postgresql:", 1))
            int(str(options.get("port", 0)))
    except (ValueError, ArgumentError, ProgrammingError):
        return False
    # A password with a `/` or `#` cuts the host off.
    return "@" in parts.netloc or "@" not in parts.path + parts.fragment
