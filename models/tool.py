"""Tools: small programs that an agent offers by name."""

from pydantic import Field

from models.types import Contract, JsonObject, Name, Text

MAX_SOURCE_CHARS = 1_048_576  # characters of one program


class ToolDefinition(Contract):
    """A tool of an agent: a Python program that reads its arguments as JSON from stdin."""

    name: Name
    description: Text = Field("", max_length=4096)
    parameters: JsonObject = Field(
        default_factory=dict,
        description="JSON Schema of the arguments, for whoever calls the tool; not enforced here",
    )
    source: Text = Field(min_length=1, max_length=MAX_SOURCE_CHARS)


class ToolExecutionRequest(Contract):
    """Run one tool of a stored agent with these arguments."""

    name: Name
    arguments: JsonObject = Field(default_factory=dict)
