"""What a key may do and use, from the operator's command to the refusal."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from alembic import command

from deploy.local.services import Services
from models.permissions import Permission
from tests.harness import ROOT, Api, Stack, refused_fields
from tests.integration.facts import bare_database

MINIMAL = {"source": "print(1)", "security_profile": "minimal", "restricted_python": False}
LIMITS = ("--profile", "minimal", "--image", "python", "--network", "none")


def keys(stack: Stack, *words: str) -> str:
    """Run `python -m api keys`."""
    done = subprocess.run(
        [sys.executable, "-m", "api", "keys", *words],
        cwd=ROOT, env=stack.environment, check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.stdout


def listed(stack: Stack, api: Api) -> dict[str, Any]:
    """Return what `keys list --json` tells of a client's key."""
    found = {item["id"]: item for item in json.loads(keys(stack, "list", "--json"))}
    told: dict[str, Any] = found[api.key.split("_")[1]]
    assert api.key.split("_", 2)[2] not in json.dumps(told)
    return told


@pytest.fixture
def owner(stack: Stack) -> Iterator[psycopg.Connection]:
    with psycopg.connect(stack.owner_url, autocommit=True) as connection:
        yield connection


def test_a_plain_key_runs_reads_and_cancels_but_decides_nothing_for_others(stack: Stack) -> None:
    api = stack.client("plain", "--name", "plain")
    execution = api.run("print('ran')")
    assert execution["stdout"]["text"] == "ran\n"
    assert api.post(f"/v1/executions/{execution['id']}/cancel").status_code == 409
    for answer in (
        api.put("/v1/agents/mine", json={"source": "pass"}),
        api.delete("/v1/agents/mine"),
    ):
        assert answer.status_code == 403
        assert answer.headers["content-type"] == "application/problem+json"
        assert "keys create --permission administer" in answer.json()["detail"]
    told = listed(stack, api)
    assert told["permissions"] == ["submit", "read", "cancel"]
    assert (told["profiles"], told["images"], told["networks"]) == (None, None, None)
    assert (told["state"], told["expires_at"]) == ("in force", None)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"security_profile": "standard"}, "security_profile"),
        ({"image": "gone"}, "image"),
        (
            {"security_options": {"allowed_capabilities": ["NET_BIND_SERVICE"]}},
            "security_options.allowed_capabilities",
        ),
        ({"resource_limits": {"network_access": "restricted"}}, "resource_limits.network_access"),
    ],
)
def test_what_a_key_may_not_use_is_refused_by_its_field(
    stack: Stack, change: dict[str, Any], field: str
) -> None:
    api = stack.client("limited", *LIMITS)
    assert api.post("/v1/executions", json=MINIMAL).status_code == 202
    refused = api.post("/v1/executions", json={**MINIMAL, **change})
    assert refused.status_code == 403, refused.text
    assert refused_fields(refused) == {field}


def test_neither_a_default_nor_a_stored_agent_is_a_way_around(stack: Stack) -> None:
    administrator, api = stack.client("around"), stack.client("around", *LIMITS)
    administrator.put("/v1/agents/wide", json={"source": "pass", "security_profile": "standard"})
    administrator.put("/v1/agents/narrow", json=MINIMAL)
    for body in ({"source": "pass"}, {"agent": "wide"}):
        assert refused_fields(api.post("/v1/executions", json=body)) == {"security_profile"}
    assert api.post("/v1/executions", json={"agent": "narrow"}).status_code == 202
    refused = api.post("/v1/executions", json={"agent": "narrow", "security_profile": "standard"})
    assert refused.status_code == 403
    assert len(administrator.get("/v1/executions").json()["items"]) == 1


def test_profiles_are_listed_as_the_key_may_name_them(stack: Stack) -> None:
    def enabled(api: Api) -> set[str]:
        items = api.get("/v1/profiles").json()["items"]
        return {item["profile_name"] for item in items if item["enabled"]}

    assert enabled(stack.client("offers")) == {"minimal", "standard"}
    limited = stack.client("offers", "--profile", "minimal", "--profile", "privileged")
    assert enabled(limited) == {"minimal"}


def test_a_key_that_may_only_submit_learns_nothing_of_what_ran(stack: Stack) -> None:
    reader = stack.client("blind")
    api = stack.client("blind", "--permission", "submit")
    body, headers = {"source": "print('secret')"}, {"Idempotency-Key": "blind"}
    accepted = api.post("/v1/executions", json=body, headers=headers).json()
    assert reader.outcome(accepted["id"])["stdout"]["text"] == "secret\n"
    again = api.post("/v1/executions", json=body, headers=headers)
    assert (again.json()["id"], again.json()["status"]) == (accepted["id"], "succeeded")
    assert "secret" not in again.text
    assert again.json()["isolation"] is None
    told = reader.post("/v1/executions", json=body, headers=headers)
    assert told.json()["stdout"]["text"] == "secret\n"
    for path in ("", "/events", "/artifacts", "/artifacts/x"):
        assert api.get(f"/v1/executions/{accepted['id']}{path}").status_code == 403
    assert api.get("/v1/executions").status_code == 403


def test_what_was_accepted_is_answered_again_to_a_key_that_may_submit(stack: Stack) -> None:
    headers = {"Idempotency-Key": "wide"}
    first = stack.client("replays").post("/v1/executions", json={"source": "1"}, headers=headers)
    limited = stack.client("replays", *LIMITS)
    again = limited.post("/v1/executions", json={"source": "1"}, headers=headers)
    assert again.json()["id"] == first.json()["id"]
    reader = stack.client("replays", "--permission", "read")
    refused = reader.post("/v1/executions", json={"source": "1"}, headers=headers)
    assert refused.status_code == 403


def test_a_canceller_ends_what_it_may_not_read(stack: Stack) -> None:
    runner = stack.client("ending")
    accepted = runner.submit("import time; time.sleep(60)")
    runner.wait_started(accepted["id"])
    api = stack.client("ending", "--permission", "cancel")
    path = f"/v1/executions/{accepted['id']}"
    assert api.get(path).status_code == 403
    assert api.post(f"{path}/cancel").status_code == 202
    assert runner.outcome(accepted["id"])["status"] == "cancelled"


def test_what_belongs_to_another_tenant_does_not_exist_for_any_key(stack: Stack) -> None:
    execution = stack.client("mine").submit("pass")
    path = f"/v1/executions/{execution['id']}"
    stranger = stack.client("theirs")
    assert stranger.get(path).status_code == 404
    assert stranger.post(f"{path}/cancel").status_code == 404
    blind = stack.client("theirs", "--permission", "cancel")
    assert blind.post(f"{path}/cancel").status_code == 404
    # Refused before anything is looked up: it is the same for what exists and what does not.
    assert blind.get(path).status_code == 403
    assert blind.get("/v1/executions/00000000-0000-0000-0000-000000000001").status_code == 403


def test_a_refusal_is_logged_with_the_key_and_without_its_secret(stack: Stack) -> None:
    api = stack.client("logged", "--permission", "cancel")
    api.get("/v1/agents/wanted")
    log = stack.log("api")
    line = next(line for line in log.splitlines()[::-1] if "permission_denied" in line)
    event = json.loads(line)
    assert event["api_key"] == api.key.split("_")[1]
    assert event["denied"] == "permission read"
    assert (event["method"], event["path"]) == ("GET", "/v1/agents/wanted")
    assert event["request_id"]
    assert api.key.split("_", 2)[2] not in log


def test_a_key_ends_with_its_days(stack: Stack, owner: psycopg.Connection) -> None:
    api = stack.client("expiring", "--expires-days", "30")
    key_id = api.key.split("_")[1]
    assert api.get("/v1/profiles").status_code == 200
    left = owner.execute(
        "SELECT extract(epoch FROM expires_at - now()) FROM api_keys WHERE id = %s", (key_id,)
    ).fetchone()
    assert left is not None
    assert 29.9 * 86_400 < left[0] <= 30 * 86_400
    assert listed(stack, api)["state"] == "in force"
    owner.execute("UPDATE api_keys SET expires_at = now() WHERE id = %s", (key_id,))
    assert api.get("/v1/profiles").status_code == 401
    assert listed(stack, api)["state"] == "expired"
    keys(stack, "revoke", key_id)
    assert listed(stack, api)["state"] == "revoked"


def test_the_list_for_people_shows_what_a_key_may(stack: Stack) -> None:
    api = stack.client("shown", "--permission", "submit", *LIMITS, "--expires-days", "7")
    done = subprocess.run(
        [sys.executable, "-m", "api", "keys", "list"],
        cwd=ROOT, env={**stack.environment, "COLUMNS": "200"}, check=True, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    row = next(line for line in done.stdout.splitlines() if api.key.split("_")[1] in line)
    for told in ("shown", "submit", "profiles: minimal", "in force"):
        assert told in row
    assert "networks: none" in done.stdout


@pytest.mark.parametrize(
    "statement",
    [
        """UPDATE api_keys SET permissions = '["write"]'""",
        """UPDATE api_keys SET permissions = '["read", "write"]'""",
        """UPDATE api_keys SET permissions = '"read"'""",
        "UPDATE api_keys SET permissions = '{}'",
        "UPDATE api_keys SET permissions = NULL",
        """UPDATE api_keys SET profiles = '"minimal"'""",
        "UPDATE api_keys SET images = '{}'",
        "UPDATE api_keys SET networks = 'null'",
    ],
)
def test_the_database_keeps_permissions_well_formed(
    stack: Stack, owner: psycopg.Connection, statement: str
) -> None:
    stack.new_key("well-formed")
    with pytest.raises(psycopg.errors.IntegrityError):
        owner.execute(statement)


def test_the_database_knows_every_permission(stack: Stack, owner: psycopg.Connection) -> None:
    api = stack.client("all-of-them")
    assert listed(stack, api)["permissions"] == list(Permission)
    owner.execute("UPDATE api_keys SET permissions = '[]' WHERE id = %s", (api.key.split("_")[1],))
    answer = api.get("/v1/profiles")
    assert answer.status_code == 403
    assert "it has: none" in answer.json()["detail"]


def test_keys_of_before_may_all_and_going_back_widens_none(
    services: Services, stack: Stack
) -> None:
    with (
        bare_database(services, stack) as (url, config),
        psycopg.connect(url, autocommit=True) as connection,
    ):
        command.upgrade(config, "0002")
        connection.execute("INSERT INTO tenants (name) VALUES ('old')")
        add = (
            "INSERT INTO api_keys (id, tenant_id, name, secret_hash) "
            "SELECT %s, id, 'k', 'x' FROM tenants"
        )
        connection.execute(add, ("old",))
        connection.execute(add, ("narrowed",))
        command.upgrade(config, "0003")
        found = connection.execute(
            "SELECT permissions, profiles, images, networks FROM api_keys WHERE id = 'old'"
        ).fetchone()
        assert found == (["submit", "read", "cancel", "administer"], None, None, None)
        with pytest.raises(psycopg.errors.NotNullViolation):
            connection.execute(add, ("unsaid",))
        connection.execute("UPDATE api_keys SET images = '[]' WHERE id = 'narrowed'")
        command.downgrade(config, "0002")
        left = connection.execute("SELECT id FROM api_keys WHERE revoked_at IS NULL").fetchall()
        assert left == [("old",)]
