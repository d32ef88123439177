"""What a caller may do: data on an API key, and the two functions that refuse."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from models.errors import PermissionDeniedError


class Permission(StrEnum):
    """What can be done, from least to most lasting."""

    SUBMIT = "submit"  # run a program, a command or a stored agent
    READ = "read"  # executions, their events and artifacts, stored agents, profiles
    CANCEL = "cancel"  # end executions of the tenant, also those of other keys
    ADMINISTER = "administer"  # store and delete agents: decide what others run


@dataclass(frozen=True, kw_only=True)
class Permissions:
    """What one caller may do, and what its executions may use.

    `profiles`, `images` and `networks` hold names; None is whatever the server offers. Each
    name stands for itself alone: `restricted` does not include `none`.
    """

    verbs: frozenset[Permission]
    profiles: frozenset[str] | None = None
    images: frozenset[str] | None = None
    networks: frozenset[str] | None = None


# For callers without a key: whoever can write to the broker is trusted by the operator, for
# every tenant (README says so). There is nothing on a message that could be checked.
EVERYTHING = Permissions(verbs=frozenset(Permission))


def require(permissions: Permissions, needed: Permission) -> None:
    """Raise PermissionDeniedError unless `needed` is among the permissions."""
    if needed not in permissions.verbs:
        raise PermissionDeniedError("permission", needed, permissions.verbs)


def require_use(
    permissions: Permissions,
    *,
    profile: str,
    image: str,
    network: str,
    loosened: Iterable[str] = (),
) -> None:
    """Raise PermissionDeniedError unless an execution may use all of these.

    `loosened` names the security options that make the profile looser than its name says: a
    caller who is limited to profiles gets those profiles, or stricter ones.

    They are what was resolved, not what was asked for: neither a stored agent nor a default of
    the server is a way around.
    """
    for kind, name, granted in (
        ("profile", profile, permissions.profiles),
        ("image", image, permissions.images),
        ("network", network, permissions.networks),
    ):
        if granted is not None and name not in granted:
            raise PermissionDeniedError(kind, name, granted)
    if permissions.profiles is not None:
        for option in loosened:
            raise PermissionDeniedError("looser option", option, ())
