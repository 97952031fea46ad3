"""Faults name who is at fault, and the place in the plugin's code."""

from __future__ import annotations

import importlib
import sys
import types

import pytest

import sea_toolkit as sea
from sea_toolkit.registry.blame import AttributedError, attribute_errors_to, cause_of


def raised(function, *arguments) -> BaseException:
    """What a call raises."""
    try:
        function(*arguments)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def module(name: str, source: str) -> types.ModuleType:
    """A module of that name, as if it stood in a file."""
    made = types.ModuleType(name)
    exec(compile(source, f"/somewhere/{name.replace('.', '/')}.py", "exec"), made.__dict__)
    return made


FAILING = "def fail():\n    raise ValueError('no')\n"


def test_a_frame_of_a_plugin_is_named():
    assert cause_of(raised(module("sea_mine", FAILING).fail)) == "ValueError: no (/somewhere/sea_mine.py, line 2)"


@pytest.mark.parametrize(
    "name", ["sea_toolkit.registry.hub", "sea_toolkit.runs.run", "sea_toolkit.energies.keywords.energy", "sea_toolkit"]
)
def test_no_frame_of_the_package_is_named_whatever_its_room(name):
    plugin = module("sea_mine", "def call(function):\n    function()\n")
    assert cause_of(raised(plugin.call, module(name, FAILING).fail)).endswith(" (/somewhere/sea_mine.py, line 2)")


def test_a_plugin_whose_name_begins_like_ours_is_a_plugin():
    assert "/somewhere/sea_toolkit_extra.py" in cause_of(raised(module("sea_toolkit_extra", FAILING).fail))


def test_pythons_own_import_machinery_is_not_to_blame(tmp_path, monkeypatch):
    (tmp_path / "sea_broken_import.py").write_text("import no_such_module_of_mine\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    cause = cause_of(raised(importlib.import_module, "sea_broken_import"))
    assert cause.endswith(f" ({tmp_path / 'sea_broken_import.py'}, line 1)")
    sys.modules.pop("sea_broken_import", None)


def test_an_error_carries_owner_and_cause_apart():
    def fail():
        with attribute_errors_to("plugin 'a' of sea-a 1.0", "in sea_observe"):
            raise sea.PluginError("it is odd", expected="another", hint="mend it")

    error = raised(fail)
    assert isinstance(error, AttributedError)
    assert str(error) == "plugin 'a' of sea-a 1.0, in sea_observe: it is odd\nexpected: another\ntry: mend it"
    assert (error.owner, error.cause) == (
        "plugin 'a' of sea-a 1.0",
        "in sea_observe: it is odd\nexpected: another\ntry: mend it",
    )


def test_an_owner_is_named_once():
    def fail():
        with attribute_errors_to("plugin 'a' of sea-a 1.0"), attribute_errors_to("plugin 'a' of sea-a 1.0", "in f"):
            raise ValueError("no")

    assert str(raised(fail)).count("sea-a 1.0") == 1


def test_what_is_no_fault_of_the_plugin_passes():
    def stop():
        with attribute_errors_to("x"):
            raise KeyboardInterrupt

    def user():
        with attribute_errors_to("x", user_errors_pass=True):
            raise sea.RecipeError("wrong option")

    assert isinstance(raised(stop), KeyboardInterrupt)
    assert str(raised(user)) == "wrong option"
