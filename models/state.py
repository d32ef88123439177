"""What is known of an execution while it lives, and what its program is told."""

from datetime import datetime
from uuid import UUID

from pydantic import Field

from models.agent import AgentPhilosophy
from models.status import Reason, Status
from models.types import Contract, JsonObject, Text


class PhilosophyExecutionContext(Contract):
    """What the caller tells the program of the run it is part of: /workspace/context.json."""

    philosophy: AgentPhilosophy | None = Field(
        None, description="When left out, that of the stored agent"
    )
    goal: Text = Field("", max_length=16_384)
    step: int = Field(0, ge=0, le=1_000_000)
    max_steps: int | None = Field(None, ge=1, le=1_000_000)
    memory: JsonObject = Field(default_factory=dict)


class AgentExecutionState(Contract):
    """Where one execution stands."""

    id: UUID
    status: Status
    reason: Reason | None = None
    attempt: int = Field(0, ge=0, description="Fencing token: grows with each claim")
    agent: str | None = None
    agent_version: int | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cancel_requested_at: datetime | None = None
