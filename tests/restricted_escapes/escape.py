"""One way out of RestrictedPython."""

from dataclasses import dataclass

MARK = "ESCAPED"


@dataclass(frozen=True)
class Escape:
    """A program, the line of it that is refused and some words of the refusal.

    prints: run without the policy it prints MARK, which shows that it is not refused for a mistake
        of its own. A few only show what a later step would use.
    """

    name: str
    source: str
    line: int
    words: str
    prints: bool = True
