"""Every route of the API with every kind of key, by a table."""

from uuid import UUID

import anyio
import httpx
import pytest
from fastapi import APIRouter
from fastapi.routing import iter_route_contexts

from api import guard
from api.app import create_app
from api.auth import PROTECTED
from api.waiters import Waiters
from models.permissions import Permission, Permissions
from models.settings import load_settings
from worker.submit import Caller

# The columns are keys with one permission alone. A new route needs a line: think before you
# write "yes".
TABLE = """
                                                             submit read cancel administer
POST   /v1/executions                                        yes    no   no     no
GET    /v1/executions                                        no     yes  no     no
GET    /v1/executions/{execution_id}                         no     yes  no     no
POST   /v1/executions/{execution_id}/cancel                  no     no   yes    no
GET    /v1/executions/{execution_id}/events                  no     yes  no     no
GET    /v1/executions/{execution_id}/results                 no     yes  no     no
GET    /v1/executions/{execution_id}/results/stream          no     yes  no     no
GET    /v1/executions/{execution_id}/artifacts               no     yes  no     no
GET    /v1/executions/{execution_id}/artifacts/{path:path}   no     yes  no     no
GET    /v1/agents                                            no     yes  no     no
GET    /v1/agents/{name}                                     no     yes  no     no
PUT    /v1/agents/{name}                                     no     no   no     yes
DELETE /v1/agents/{name}                                     no     no   no     yes
GET    /v1/profiles                                          no     yes  no     no
"""
HEAD, *LINES = (line.split() for line in TABLE.strip().splitlines())
ROUTES = {(method, path): dict(zip(HEAD, cells, strict=True)) for method, path, *cells in LINES}
VALUES = {
    "{execution_id}": str(UUID(int=1)),
    "{name}": "an-agent",
    "{path:path}": "a/file.txt",
}
JSON = {"Content-Type": "application/json"}


def address(path):
    """Return a path with values in it."""
    for name, value in VALUES.items():
        path = path.replace(name, value)
    return path


def ask(app, method, path, **more):
    """Return the answer of the application, without a server."""

    async def send():
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **more)

    return anyio.run(send)


@pytest.fixture
def app_for(monkeypatch):
    """The application, for a key with these permissions; no database behind it."""

    def make(*verbs):
        caller = Caller(
            tenant_id=UUID(int=1),
            api_key_id="0" * 16,
            permissions=Permissions(verbs=frozenset(verbs)),
        )
        monkeypatch.setattr(guard, "authenticate", lambda _header: caller)
        app = create_app()
        app.state.waiters = Waiters(load_settings())
        return app

    return make


def test_every_route_has_its_line_and_every_line_its_route():
    served = {
        (method, route.path)
        for route in iter_route_contexts(create_app().routes)
        for method in route.methods or ()
        if (route.path or "").startswith("/v1")
    }
    assert served == set(ROUTES)
    assert set(HEAD) == set(Permission)


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
@pytest.mark.parametrize("verb", HEAD)
def test_a_key_with_one_permission_reaches_what_the_table_says(app_for, route, verb):
    method, path = route
    answer = ask(app_for(Permission(verb)), method, address(path), content=b"{}", headers=JSON)
    if ROUTES[route][verb] == "yes":
        # It went on: to a wrong body, to the settings, or to the database that is not there.
        assert answer.status_code in (200, 422, 503), answer.text
    else:
        assert answer.status_code == 403
        needed = next(name for name, cell in ROUTES[route].items() if cell == "yes")
        detail = answer.json()["detail"]
        assert f"permission '{needed}' is not granted to this key; it has: {verb}" in detail
        assert f"keys create --permission {needed}" in detail


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_a_key_with_everything_but_it_is_refused_too(app_for, route):
    method, path = route
    others = [Permission(name) for name, cell in ROUTES[route].items() if cell == "no"]
    assert ask(app_for(*others), method, address(path)).status_code == 403
    assert ask(app_for(), method, address(path)).status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/executions/", 307),
        ("GET", "/v1//executions", 404),
        ("GET", "/v1/executions%2f", 307),
        ("GET", "/V1/executions", 404),
        ("GET", "/v1/executions;x", 404),
        ("HEAD", "/v1/executions", 405),
        ("PATCH", "/v1/agents/a", 405),
        ("OPTIONS", "/v1/agents/a", 405),
        ("DELETE", f"/v1/executions/{UUID(int=1)}", 405),
        ("get", "/v1/executions", 403),
        ("PUT", "/v1/agents/a%0a", 403),
        ("GET", f"/v1/executions/{UUID(int=1)}/artifacts/../../agents", 403),
    ],
)
def test_no_other_spelling_gets_past_the_table(app_for, method, path, status):
    assert ask(app_for(), method, path).status_code == status


def test_a_route_without_a_line_is_closed_to_everybody(app_for):
    reached = []
    app, router = app_for(*Permission), APIRouter(prefix="/v1/new")
    router.add_api_route("", lambda: reached.append(1))
    app.include_router(router, dependencies=PROTECTED)
    assert ask(app, "GET", "/v1/new").status_code == 500
    assert reached == []


def test_the_body_of_a_key_that_may_not_is_not_even_read(app_for):
    started = []

    async def receive():
        pytest.fail("the body was read")

    async def send(message):
        started.append(message.get("status"))

    scope = {
        "type": "http", "method": "POST", "path": "/v1/executions", "raw_path": b"/v1/executions",
        "query_string": b"", "headers": [(b"content-length", b"9000000")], "scheme": "http",
        "server": ("test", 80), "http_version": "1.1",
    }  # fmt: skip
    anyio.run(app_for(Permission.READ), scope, receive, send)
    assert started[0] == 403


def test_every_protected_operation_documents_its_403():
    paths = create_app().openapi()["paths"]
    for method, path in ROUTES:
        operation = paths[path.replace(":path", "")][method.lower()]
        assert "403" in operation["responses"], (method, path)
        assert operation["security"]
