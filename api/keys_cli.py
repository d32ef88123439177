"""`python -m api keys`: make, list and revoke keys."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table
from sqlalchemy import func, select

import security_profiles
from api import keys
from models.limits import NetworkAccess
from models.permissions import Permission, Permissions
from models.session import transaction
from models.settings import load_settings
from models.tables import ApiKey, Tenant

keys_cli = typer.Typer(no_args_is_help=True, help="API keys; each belongs to one tenant.")

DEFAULT = (Permission.SUBMIT, Permission.READ, Permission.CANCEL)
MAX_DAYS = 3650  # ten years: a key for longer is one that nobody looks after

TenantName = Annotated[str, typer.Option(help="Tenant; it is made when it does not exist yet.")]
Days = Annotated[
    int | None,
    typer.Option(min=1, max=MAX_DAYS, help="In force for so long; else until it is revoked."),
]
Verbs = Annotated[
    list[str] | None,
    typer.Option(
        help="submit (run programs and stored agents), read (executions, events, artifacts, "
        "agents, profiles), cancel, or administer (store and delete agents, which is to decide "
        "what other keys run). Repeat it for each.",
        show_default=", ".join(DEFAULT),
    ),
]
Profiles = Annotated[
    list[str] | None,
    typer.Option(help="Security profile that executions may use. Repeat it for each."),
]
Images = Annotated[
    list[str] | None, typer.Option(help="Image that executions may use. Repeat it for each.")
]
Networks = Annotated[
    list[str] | None,
    typer.Option(help="none, restricted or full; each allows itself alone. Repeat it for each."),
]


@keys_cli.command("create")
def create_key(
    tenant: TenantName = "default",
    name: Annotated[str, typer.Option(help="What the key is for.")] = "default",
    permission: Verbs = None,
    all_permissions: Annotated[
        bool, typer.Option("--all-permissions", help="All four, administer too.")
    ] = False,
    profile: Profiles = None,
    image: Images = None,
    network: Networks = None,
    expires_days: Days = None,
) -> None:
    """Make a key and print it once; only its hash is stored.

    Grant what its holder needs and no more.

    Without --profile, --image or --network, executions may use all that the server offers.

    Example: export AGENTCORE_API_KEY=$(python -m api keys create --tenant search)
    """
    for option, value in (("--tenant", tenant), ("--name", name)):
        if not keys.NAME.match(value):
            raise typer.BadParameter(
                "lower-case letters, digits, '-' and '_', 1 to 63 characters", param_hint=option
            )
    if all_permissions and permission:
        raise typer.BadParameter("has them all already", param_hint="--all-permissions")
    asked = [*Permission] if all_permissions else permission or [*DEFAULT]
    _known("--permission", asked, [*Permission])
    granted = Permissions(
        verbs=frozenset(Permission(verb) for verb in asked),
        profiles=_known("--profile", profile, security_profiles.PROFILE_NAMES),
        images=_known("--image", image, sorted(load_settings().sandbox_images)),
        networks=_known("--network", network, [*NetworkAccess]),
    )
    with transaction() as session:
        key = keys.create(session, tenant, name, granted, expires_days=expires_days)
    print(key)


def _known(
    option: str, given: list[str] | None, valid: list[str] | tuple[str, ...]
) -> frozenset[str] | None:
    """Return the names, None for no limit; refuse those that nothing is called."""
    for name in given or ():
        if name not in valid:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(valid)}", param_hint=option)
    return frozenset(given) if given else None


@keys_cli.command("list")
def list_keys(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List all keys without their secrets."""
    expired = (ApiKey.expires_at <= func.now()).label("expired")
    with transaction() as session:
        rows = session.execute(
            select(ApiKey, Tenant.name, expired)
            .join(Tenant, Tenant.id == ApiKey.tenant_id)
            .order_by(ApiKey.created_at)
        ).all()
    told = [_told(key, tenant, bool(expired)) for key, tenant, expired in rows]
    if as_json:
        print(json.dumps(told, indent=2))
        return
    # The id whole: it is what `revoke` is given.
    others = ("tenant", "name", "may", "only with", "created", "expires", "state")
    table = Table(Column("id", no_wrap=True), *others)
    for item in told:
        table.add_row(*_cells(item))
    Console().print(table)


def _told(key: ApiKey, tenant: str, expired: bool) -> dict[str, Any]:
    return {
        "id": key.id,
        "tenant": tenant,
        "name": key.name,
        "permissions": key.permissions,
        "profiles": key.profiles,
        "images": key.images,
        "networks": key.networks,
        "created_at": key.created_at.isoformat(),
        "expires_at": key.expires_at and key.expires_at.isoformat(),
        "revoked_at": key.revoked_at and key.revoked_at.isoformat(),
        "state": "revoked" if key.revoked_at else "expired" if expired else "in force",
    }


def _cells(item: dict[str, Any]) -> list[str]:
    limits = [
        f"{kind}: {', '.join(item[kind]) or 'none at all'}"
        for kind in ("profiles", "images", "networks")
        if item[kind] is not None
    ]
    return [
        item["id"],
        item["tenant"],
        item["name"],
        ", ".join(item["permissions"]) or "nothing",
        "\n".join(limits),
        item["created_at"][:10],
        (item["expires_at"] or "never")[:10],
        item["state"],
    ]


@keys_cli.command("revoke")
def revoke_key(key_id: Annotated[str, typer.Argument(help="The id that `list` shows.")]) -> None:
    """End a key at once."""
    with transaction() as session:
        keys.revoke(session, key_id)
    print(f"revoked {key_id}")
