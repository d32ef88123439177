"""Stored agents: every change makes a new version, executions name the one they ran."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel
from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from api.auth import Authenticated
from api.errors import responses
from models.agent import AgentConfig
from models.errors import NotFoundError
from models.session import autocommit, transaction
from models.tables import Agent
from models.types import Name
from worker.submit import Caller

router = APIRouter(
    prefix="/v1/agents",
    tags=["agents"],
    responses=responses(401, 403, 422, 503),
)

MAX_LISTED = 500  # agents of one list

Version = Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Newest when left out")]


class StoredAgent(BaseModel):
    """One version of an agent."""

    name: str
    version: int
    created_at: datetime
    config: AgentConfig


class AgentSummary(BaseModel):
    """A stored agent without its program."""

    name: str
    version: int
    created_at: datetime
    description: str


class AgentList(BaseModel):
    """The newest version of every stored agent, by name."""

    items: tuple[AgentSummary, ...]
    next_cursor: str | None = None


@router.put(
    "/{name}",
    response_model_exclude_unset=True,  # as it was stored: defaults are not made explicit
    responses={
        201: {"model": StoredAgent, "description": "First version"},
        **responses(400, 413, 415),
    },
)
def put(name: Name, config: AgentConfig, caller: Authenticated, response: Response) -> StoredAgent:
    """Store a configuration; an unchanged one keeps its version."""
    stored = config.model_dump(mode="json", exclude_unset=True)
    with transaction() as session:
        # Two writers of the same name take turns.
        lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
        session.execute(lock, {"name": f"{caller.tenant_id}/{name}"})
        newest = _newest(session, caller, name, with_deleted=True)
        if newest is not None and newest.deleted_at is None and newest.config == stored:
            return _view(newest)
        version = newest.version + 1 if newest else 1
        agent = Agent(tenant_id=caller.tenant_id, name=name, version=version, config=stored)
        session.add(agent)
        session.flush()
        session.refresh(agent)
    if newest is None or newest.deleted_at is not None:
        response.status_code = 201
    return _view(agent)


@router.get("/{name}", response_model_exclude_unset=True, responses=responses(404))
def get(name: Name, caller: Authenticated, version: Version = None) -> StoredAgent:
    """Return an agent's configuration."""
    with autocommit() as session:
        agent = _newest(session, caller, name, version=version)
    if agent is None:
        raise NotFoundError("no such agent, or not this version of it")
    return _view(agent)


@router.get("")
def list_agents(
    caller: Authenticated,
    limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 100,
    cursor: Annotated[Name | None, Query(description="`next_cursor` of the page before")] = None,
) -> AgentList:
    """List the stored agents by name."""
    newest = (
        select(Agent.id)
        .where(Agent.tenant_id == caller.tenant_id, Agent.deleted_at.is_(None))
        .ext(distinct_on(Agent.name))
        .order_by(Agent.name, Agent.version.desc())
        .limit(limit + 1)
    )
    if cursor is not None:
        newest = newest.where(Agent.name > cursor)
    # A configuration may be megabytes: nothing is read of those that are not listed.
    columns = (Agent.name, Agent.version, Agent.created_at, Agent.config["description"].astext)
    query = select(*columns).where(Agent.id.in_(newest)).order_by(Agent.name)
    with autocommit() as session:
        rows = session.execute(query).all()
    items = tuple(
        AgentSummary(name=name, version=version, created_at=created_at, description=text or "")
        for name, version, created_at, text in rows[:limit]
    )
    return AgentList(items=items, next_cursor=items[-1].name if len(rows) > limit else None)


@router.delete("/{name}", status_code=204, responses=responses(404))
def delete(name: Name, caller: Authenticated) -> None:
    """Delete an agent; what already ran or is queued is not touched."""
    with autocommit() as session:
        deleted = session.scalars(
            update(Agent)
            .where(
                Agent.tenant_id == caller.tenant_id,
                Agent.name == name,
                Agent.deleted_at.is_(None),
            )
            .values(deleted_at=func.now())
            .returning(Agent.id)
        ).all()
    if not deleted:
        raise NotFoundError("no such agent")


def _newest(
    session: Session,
    caller: Caller,
    name: str,
    *,
    version: int | None = None,
    with_deleted: bool = False,
) -> Agent | None:
    query = select(Agent).where(Agent.tenant_id == caller.tenant_id, Agent.name == name)
    if not with_deleted:
        query = query.where(Agent.deleted_at.is_(None))
    if version is not None:
        query = query.where(Agent.version == version)
    return session.scalar(query.order_by(Agent.version.desc()).limit(1))


def _view(agent: Agent) -> StoredAgent:
    return StoredAgent(
        name=agent.name,
        version=agent.version,
        created_at=agent.created_at,
        config=AgentConfig.model_validate(agent.config),
    )
