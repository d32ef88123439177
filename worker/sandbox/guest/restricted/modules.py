"""What an import hands out: a module's public names, without the modules that it itself uses."""

import importlib
import types
from collections.abc import Mapping
from typing import Any

from . import replacements
from .errors import refuse
from .guards import Module

_WITHHELD = {
    # Evaluates strings.
    "typing": {"get_type_hints", "ForwardRef", "evaluate_forward_ref"},
    # Reads the type hints of what is registered, and with them strings.
    "functools": {"singledispatch", "singledispatchmethod"},
    # Writes code from the names that it is given.
    "dataclasses": {"make_dataclass"},
    # Formats with fields that reach any attribute.
    "string": {"Formatter"},
    # Write into the namespace of any module by its name.
    "enum": {"global_enum", "global_enum_repr", "global_flag_repr", "global_str"},
    # Makes the next time zone be read from any folder.
    "zoneinfo": {"reset_tzpath"},
    # Formats its own text, with fields that reach any attribute.
    "collections": {"UserString"},
}
# Modules that say nothing of what is public, or of which only a part is harmless.
_EXPORTED = {
    "contextlib": "AbstractContextManager ContextDecorator ExitStack closing contextmanager "
    "nullcontext suppress",
    "hmac": "HMAC compare_digest digest new",
    "io": "BytesIO SEEK_CUR SEEK_END SEEK_SET StringIO",
    "sys": "argv byteorder exit float_info getsizeof int_info maxsize maxunicode stderr stdin "
    "stdout version version_info",
    "time": "asctime ctime gmtime localtime mktime monotonic monotonic_ns perf_counter "
    "perf_counter_ns process_time process_time_ns sleep strftime strptime struct_time time time_ns",
    "types": "MappingProxyType SimpleNamespace",
    "uuid": "NAMESPACE_DNS NAMESPACE_OID NAMESPACE_URL NAMESPACE_X500 UUID uuid3 uuid4 uuid5",
}
# Imported by built-in functions (datetime.strptime), which ask the caller's `__import__` and then
# look into sys.modules. A program cannot name these: its own imports are checked in its source.
_IMPORTED_BY_C = frozenset({"_strptime", "warnings"})


class Importer:
    """Stands in for `__import__`; knows the modules that the profile lets through."""

    def __init__(self, allowed: frozenset[str]) -> None:
        self._allowed = allowed | {"__future__"}
        self._modules: dict[str, Module] = {}

    def __call__(
        self,
        name: str,
        globals: Any = None,
        locals: Any = None,
        fromlist: Any = (),
        level: int = 0,
    ) -> Module:
        """Return what `import` of `name` binds."""
        if name in _IMPORTED_BY_C:
            importlib.import_module(name)
            return Module(name, {}, frozenset())
        if type(name) is not str or level or name not in self._allowed:
            refuse(f"import of {str(name)[:80]}")
        module = self._module(name)
        for wanted in fromlist or ():
            self._check_name(module, wanted)
        return module if fromlist else self._module(name.partition(".")[0])

    def _check_name(self, module: Module, wanted: str) -> None:
        if wanted in module.__dict__:
            return
        if wanted in module._withheld or wanted.startswith("_"):
            refuse(f"import of {module._name}.{wanted}")
        raise ImportError(f"cannot import name {wanted!r} from {module._name!r}")

    def _module(self, name: str) -> Module:
        if name not in self._modules:
            real = importlib.import_module(name)
            if name in replacements.AT_IMPORT:
                replacements.AT_IMPORT[name](real)
            self._modules[name] = _shown(name, real, self._submodules(name))
        return self._modules[name]

    def _submodules(self, name: str) -> dict[str, Any]:
        inner = [item for item in self._allowed if item.rpartition(".")[0] == name]
        return {item.rpartition(".")[2]: self._module(item) for item in inner}


def _shown(name: str, real: types.ModuleType, inner: Mapping[str, Any]) -> Module:
    every = {item for item in dir(real) if not item.startswith("_")}
    if name in _EXPORTED:
        public = set(_EXPORTED[name].split())
    else:
        public = every & set(getattr(real, "__all__", every))
    public -= _WITHHELD.get(name, set())
    values = {item: getattr(real, item) for item in public if hasattr(real, item)}
    exported = {item: value for item, value in values.items() if not _leads_out(value)}
    exported |= replacements.BY_MODULE.get(name, {})
    exported |= inner
    return Module(name, exported, frozenset(every - set(exported)))


def _leads_out(value: Any) -> bool:
    # A metaclass makes classes with any names in them, as `type` with three arguments does.
    return isinstance(value, types.ModuleType) or (
        isinstance(value, type) and issubclass(value, type)
    )
