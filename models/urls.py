"""Addresses of services, checked before a library chokes on one and quotes its password."""

from collections.abc import Callable
from urllib.parse import urlsplit

from pydantic import SecretStr

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
    try:
        parts = urlsplit(url)
        _ = parts.port  # not a number: something of a password was taken for it
    except ValueError:
        return False
    if parts.scheme not in (*schemes, UNUSED):
        return False
    # A password with a `/`, `?` or `#` cuts the host off.
    return "@" in parts.netloc or "@" not in url
