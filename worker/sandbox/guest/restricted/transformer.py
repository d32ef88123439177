"""The part of the policy that reads the source: what it refuses never runs."""

import ast
from typing import Any

from . import names
from .accesses import AccessRules, Visited

GUARD_NAMES = ("_print", "_tmp")  # RestrictedPython's own variables; its guards end with "_"


class Policy(AccessRules):
    """RestrictedPython's rules, opened for ordinary programs and closed where ours are stricter.

    `problems` holds (line, what) of all that is refused. Raises RecursionError for source that
    nests too deep.
    """

    def __init__(self, imports: frozenset[str], tree: ast.Module) -> None:
        super().__init__(lazy=_has_lazy_annotations(tree))
        self.problems: list[tuple[int, str]] = []
        self._imports = imports
        self._bound = _bound_names(tree)

    def error(self, node: ast.AST, info: str) -> None:
        """Note a problem with its line."""
        self.problems.append((getattr(node, "lineno", 1), info))

    def not_allowed(self, node: ast.AST) -> None:
        """Refuse a statement or expression as such."""
        self.error(node, f"{_describe(node)} is not allowed")

    def inject_print_collector(self, node: ast.AST, position: int = 0) -> None:
        """Leave print as it is: it writes to standard output."""

    # Names ---------------------------------------------------------------------------------

    def check_name(self, node: Any, name: str | None, allow_magic_methods: bool = False) -> None:
        """Refuse a name of a variable, function, class or argument."""
        if name is None or name.strip("_") == "" or not name.startswith("_"):
            return
        allowed = name in names.MODULE_NAMES or (
            self.scopes[-1][0] == "class" and name in names.IN_CLASS
        )
        if allowed or (names.is_private(name) and not name.startswith(GUARD_NAMES)):
            return
        self.error(node, f"the name {name} is not allowed")

    def visit_Name(self, node: ast.Name) -> Visited:
        """Check a variable."""
        reads = isinstance(node.ctx, ast.Load)
        if reads and node.id in names.READABLE_NAMES:
            return node
        if reads and node.id in names.MISSING_BUILTINS and node.id not in self._bound:
            self.error(node, f"{node.id} is not available")
        self.check_name(node, node.id)
        return node

    def visit_Global(self, node: ast.Global) -> Visited:
        """Check the names."""
        for name in node.names:
            self.check_name(node, name)
        return node

    def visit_Nonlocal(self, node: ast.Nonlocal) -> Visited:
        """Allow nonlocal, and check the names."""
        for name in node.names:
            self.check_name(node, name)
        return node

    # Imports -------------------------------------------------------------------------------

    def visit_Import(self, node: ast.Import) -> Visited:
        """Hold modules against the list."""
        for alias in node.names:
            self._check_import(node, alias.name)
            self.check_name(node, alias.asname)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> Visited:
        """Hold the module against the list; what it hands out is checked when it runs."""
        if node.level:
            self.error(node, "relative import is not allowed")
        elif node.module != "__future__":
            self._check_import(node, node.module or "")
        for alias in node.names:
            if alias.name == "*":
                self.error(node, "import of * is not allowed; name what you need")
            self.check_name(node, alias.asname or alias.name)
        return node

    def _check_import(self, node: ast.AST, module: str) -> None:
        if module not in self._imports:
            self.error(node, f"import of {module[:80]} is not allowed")

    def visit_Call(self, node: ast.Call) -> Visited:
        """Leave calls as they are: what they call has been guarded on its way here."""
        return self.node_contents_visit(node)

    # Functions and classes -----------------------------------------------------------------

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Visited:
        """Check names; decorators and defaults belong to the scope outside."""
        self.check_name(node, node.name)
        self.check_function_argument_names(node)
        returns = node.returns
        if self.lazy:
            node.returns = None
        with self.scope("function", node.name):
            node = self.node_contents_visit(node)
        if self.lazy:
            node.returns = returns
        return node

    def visit_Lambda(self, node: ast.Lambda) -> Visited:
        """Check names."""
        with self.scope("function", ""):
            return super().visit_Lambda(node)

    def visit_arg(self, node: ast.arg) -> Visited:
        """Leave an annotation that nothing will evaluate as it was written."""
        return node if self.lazy else self.node_contents_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> Visited:
        """Allow classes with any keyword but `metaclass`."""
        self.check_name(node, node.name)
        if any(keyword.arg in ("metaclass", None) for keyword in node.keywords):
            self.error(node, "metaclass= is not allowed; abstract classes derive from abc.ABC")
        if getattr(node, "type_params", None):
            self.error(node, "class Name[T] is not allowed; derive from typing.Generic")
        with self.scope("class", node.name):
            return self.node_contents_visit(node)

    def visit_TypeAlias(self, node: ast.AST) -> Visited:
        """Allow `type X = ...`."""
        return self.node_contents_visit(node)

    def visit_TypeVar(self, node: Any) -> Visited:
        """Allow `def f[T]()`."""
        self.check_name(node, node.name)
        return self.node_contents_visit(node)

    visit_ParamSpec = visit_TypeVarTuple = visit_TypeVar


def _has_lazy_annotations(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "__future__"
        and any(alias.name == "annotations" for alias in node.names)
        for node in tree.body
    )


def _bound_names(tree: ast.Module) -> set[str]:
    """Return the names that the program itself gives a value anywhere."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name)
    return found


def _describe(node: ast.AST) -> str:
    known = {
        "AsyncFunctionDef": "async def",
        "AsyncFor": "async for",
        "AsyncWith": "async with",
        "Await": "await",
        "TryStar": "except*",
    }
    return known.get(type(node).__name__, type(node).__name__)
