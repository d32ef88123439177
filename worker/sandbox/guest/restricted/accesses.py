"""The rules for attributes and assignment: what is read or set goes through a guard."""

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from RestrictedPython.transformer import copy_locations

from . import names
from .patterns import PatternRules

Visited = Any  # a node, several, or none


class AccessRules(PatternRules):
    """Visits attributes and assignments.

    `scopes` holds kind and name of the functions and classes around the node; with `lazy`
    annotations nothing evaluates them, and they stay as they were written.
    """

    def __init__(self, *, lazy: bool) -> None:
        super().__init__()
        self.scopes: list[tuple[str, str]] = [("module", "")]
        self.lazy = lazy

    @contextmanager
    def scope(self, kind: str, name: str) -> Iterator[None]:
        """Enter a function or class for the time of the block."""
        self.scopes.append((kind, name))
        yield
        self.scopes.pop()

    def visit_Attribute(self, node: ast.Attribute) -> Visited:
        """`a.b` becomes `_getattr_(a, "b")`, `a.b = c` becomes `_writable_(a, "b").b = c`."""
        node.attr = self._mangled(node.attr)
        reads = isinstance(node.ctx, ast.Load)
        self._check_attribute(node, node.attr, reads=reads)
        node = self.node_contents_visit(node)
        guard = "_getattr_" if reads else "_writable_"
        call = ast.Call(
            func=ast.Name(guard, ast.Load()),
            args=[node.value, ast.Constant(node.attr)],
            keywords=[],
        )
        copy_locations(call, node if reads else node.value)
        if reads:
            return call
        node.value = call
        return node

    def _check_attribute(self, node: ast.AST, name: str, *, reads: bool) -> None:
        opened = names.OPENED_ATTRIBUTES if reads else frozenset()
        hidden = names.is_dunder(name) and name not in opened | names.ENUM_ATTRIBUTES
        if hidden or name in names.FRAME_ATTRIBUTES:
            instead = "; use type(...)" if name == "__class__" else ""
            self.error(node, f"the attribute {name} is not allowed{instead}")

    def _mangled(self, name: str) -> str:
        """Return a class's `__x` as Python itself would name it."""
        owner = next((name for kind, name in reversed(self.scopes) if kind == "class"), "")
        owner = owner.lstrip("_")
        if not owner or not name.startswith("__") or name.endswith("__"):
            return name
        return f"_{owner}{name}"

    def visit_Assign(self, node: ast.Assign) -> Visited:
        """Guard unpacking, evaluating the value once whatever the number of targets."""
        if len(node.targets) == 1 or not any(isinstance(t, ast.Tuple) for t in node.targets):
            return super().visit_Assign(node)
        kept = self.gen_tmp_name()
        first = ast.Assign(targets=[ast.Name(kept, ast.Store())], value=self.visit(node.value))
        copy_locations(first, node)
        statements: list[ast.stmt] = [first]
        for target in node.targets:
            part = ast.Assign(targets=[target], value=ast.Name("_", ast.Load()))
            copy_locations(part, node)
            done = super().visit_Assign(part)
            for item in done if isinstance(done, list) else [done]:
                statements.append(_with_value(item, kept))
        last = self.gen_del_stmt(kept)
        copy_locations(last, node)
        return [*statements, last]

    def visit_AugAssign(self, node: ast.AugAssign) -> Visited:
        """`a.b += c` becomes `_writable_(a, "b").b += c`; items likewise."""
        if isinstance(node.target, ast.Attribute) and node.target.attr in names.GUARDED_ATTRIBUTES:
            self.error(node, f"augmented assignment to {node.target.attr} is not allowed")
        return self.node_contents_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Visited:
        """Allow `name: type = value`."""
        annotation = node.annotation
        if self.lazy:
            node.annotation = ast.Constant(None)
        node = self.node_contents_visit(node)
        if self.lazy:
            node.annotation = annotation
        return node


def _with_value(assign: Any, name: str) -> ast.stmt:
    """Put the kept value where the assignment, perhaps through its guard, has a stand-in."""
    value: Any = assign.value.args[0] if isinstance(assign.value, ast.Call) else assign.value
    value.id = name
    return cast("ast.stmt", assign)
