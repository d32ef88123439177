"""Names of artifacts are a hostile program's choice; these checks come before any use."""

from agentcore_client.errors import ArtifactRefusedError
from agentcore_client.text import is_hostile

MAX_PATH_DEPTH = 32  # folders
MAX_PART_BYTES = 255  # bytes of one name on common file systems


def checked_parts(path: str) -> tuple[str, ...]:
    """Return the parts of a relative path that stays where it starts.

    Raises ArtifactRefusedError; its message shows the name in ASCII.
    """
    parts = tuple(path.split("/"))
    if problem := _problem(parts):
        raise ArtifactRefusedError(f"artifact {path[:200]!a} is refused: {problem}")
    return parts


def _problem(parts: tuple[str, ...]) -> str | None:
    if any(part in ("", ".", "..") for part in parts):
        return "its name is not a plain relative path"
    if any(is_hostile(char) for part in parts for char in part):
        return "its name has control or hidden characters"
    if len(parts) > MAX_PATH_DEPTH or any(len(part.encode()) > MAX_PART_BYTES for part in parts):
        return "its name is too long or too deep"
    return None
