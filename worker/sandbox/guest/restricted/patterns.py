"""The rules for `match`: a pattern reads attributes where no guard can stand."""

import ast
from typing import Any

from RestrictedPython.transformer import RestrictingNodeTransformer

from . import names

PLAIN_CLASSES = frozenset(
    {"bool", "bytearray", "bytes", "dict", "float", "frozenset", "int", "list", "set", "str"}
    | {"tuple"}
)


class PatternRules(RestrictingNodeTransformer):
    """Visits patterns; what they read is limited to names that are harmless on every object."""

    def visit_Match(self, node: Any) -> Any:
        """Allow match."""
        return self.node_contents_visit(node)

    visit_match_case = visit_MatchSequence = visit_MatchOr = visit_MatchSingleton = visit_Match

    def visit_MatchAs(self, node: ast.MatchAs | ast.MatchStar) -> Any:
        """Check the name that is bound."""
        self.check_name(node, node.name)
        return self.node_contents_visit(node)

    visit_MatchStar = visit_MatchAs

    def visit_MatchMapping(self, node: ast.MatchMapping) -> Any:
        """Check keys, and the name of the rest."""
        self.check_name(node, node.rest)
        for key in node.keys:
            self._check_value(key)
        node.patterns = [self.visit(pattern) for pattern in node.patterns]
        return node

    def visit_MatchValue(self, node: ast.MatchValue) -> Any:
        """Allow literals, and dotted names of plain attributes."""
        self._check_value(node.value)
        return node

    def visit_MatchClass(self, node: ast.MatchClass) -> Any:
        """Allow keywords; positions only where the class cannot say what they mean."""
        self._check_value(node.cls)
        plain = isinstance(node.cls, ast.Name) and node.cls.id in PLAIN_CLASSES
        if node.patterns and not plain:
            self.error(node, "positions in a class pattern are not allowed; write name=pattern")
        for name in node.kwd_attrs:
            self._check_plain(node, name)
        node.patterns = [self.visit(pattern) for pattern in node.patterns]
        node.kwd_patterns = [self.visit(pattern) for pattern in node.kwd_patterns]
        return node

    def _check_value(self, node: ast.AST) -> None:
        for part in ast.walk(node):
            if isinstance(part, ast.Attribute):
                self._check_plain(part, part.attr)
            elif isinstance(part, ast.Name):
                self.check_name(part, part.id)

    def _check_plain(self, node: ast.AST, name: str) -> None:
        if name.startswith("_") or name in names.UNGUARDED_ATTRIBUTES | names.MAKING_METHODS:
            self.error(node, f"the attribute {name} is not allowed in a pattern")
