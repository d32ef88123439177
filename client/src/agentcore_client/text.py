"""Making a hostile program's words harmless to a terminal."""

import unicodedata

# Control characters, and those that reorder, hide or break the text around them
_HOSTILE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_NEEDED = frozenset("\u200c\u200d")  # joiners, which several scripts cannot be written without


def is_hostile(char: str) -> bool:
    """Whether a character can change how the text around it is shown."""
    return unicodedata.category(char) in _HOSTILE_CATEGORIES and char not in _NEEDED


def visible(text: str) -> str:
    r"""Return `text` with hostile characters written out (`\x1b`); line ends and tabs stay."""
    kept = "\n\t"
    plain = text.replace("\r\n", "\n")
    return "".join(c if c in kept or not is_hostile(c) else _written_out(c) for c in plain)


def visible_line(text: object, *, limit: int = 1000) -> str:
    """Return the same in one line of at most `limit` characters before writing out."""
    line = str(text)
    cut = line if len(line) <= limit else line[: limit - 1] + "…"
    return "".join(_written_out(c) if is_hostile(c) else c for c in cut)


def _written_out(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
