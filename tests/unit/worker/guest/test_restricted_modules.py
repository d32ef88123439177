"""What an import hands out under the policy, module by module."""

import builtins
import importlib
import io
import types

import pytest

from security_profiles import get_profile
from worker.sandbox.guest.restricted.errors import PolicyViolationError
from worker.sandbox.guest.restricted.guards import Module, getattr_
from worker.sandbox.guest.restricted.modules import Importer

IMPORTS = frozenset(get_profile("minimal").restricted_python_imports)
# What makes code of text, classes of names, or opens what it is told.
POWERS = [getattr(builtins, name) for name in ("compile", "eval", "exec", "open", "getattr")]
POWERS += [builtins.__import__, type, io.FileIO, types.FunctionType, types.CodeType]


@pytest.fixture(scope="module")
def load():
    return Importer(IMPORTS)


@pytest.mark.parametrize("name", sorted(IMPORTS))
def test_a_module_shows_public_names_and_no_module_metaclass_or_power(load, name):
    *parents, last = name.split(".")
    top = load(name)
    shown = vars(vars(top)[last] if parents else top)
    assert shown
    for item, value in shown.items():
        assert not item.startswith("_")
        assert not isinstance(value, types.ModuleType), item
        assert not (isinstance(value, type) and issubclass(value, type)), item
        assert not any(value is power for power in POWERS), item


def test_what_is_withheld_is_refused_and_what_is_absent_is_an_ordinary_error(load):
    module = load("json")
    with pytest.raises(PolicyViolationError, match=r"json\.codecs"):
        getattr_(module, "codecs")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr_(module, "nothing")
    assert getattr_(module, "nothing", 1) == 1
    with pytest.raises(ImportError, match="nothing"):
        load("json", fromlist=("nothing",))


def test_a_submodule_is_shown_below_its_parent(load):
    parent = load("collections.abc")
    assert type(parent.abc) is Module
    assert parent.abc is load("collections.abc", fromlist=("Mapping",))
    assert parent.abc.Mapping is importlib.import_module("collections.abc").Mapping


def test_all_withheld_names_exist_so_that_the_list_is_no_fiction():
    from worker.sandbox.guest.restricted.modules import _EXPORTED, _WITHHELD

    newer = {"evaluate_forward_ref", "global_flag_repr"}
    for name, items in [*_WITHHELD.items(), *((n, i.split()) for n, i in _EXPORTED.items())]:
        module = importlib.import_module(name)
        assert [item for item in items if not hasattr(module, item) and item not in newer] == []
