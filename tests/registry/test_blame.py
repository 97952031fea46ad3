"""Faults name who is at fault, and the place in the plugin's code."""

from __future__ import annotations

import functools
import importlib
import json
import re
import sys
import types

import pytest

import sea_toolkit as sea
from sea_toolkit.registry.blame import AttributedError, Owner, attribute_errors_to, cause_of, during


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
    here = "\nexpected: another\ntry: mend it"
    assert re.fullmatch(rf"plugin 'a' of sea-a 1.0, in sea_observe: it is odd \(.*, line \d+\){here}", str(error))
    assert error.owner == "plugin 'a' of sea-a 1.0"
    assert re.fullmatch(rf"in sea_observe: it is odd \(.*\){here}", error.cause)


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


def test_the_last_line_of_the_owners_own_code_is_named_however_deep_the_error_came_from():
    plugin = module("sea_mine", "import json\n\ndef fail():\n    json.loads('{')\n")
    error = raised(plugin.fail)
    assert cause_of(error, Owner("x", frozenset(["sea_mine"]))).endswith("(/somewhere/sea_mine.py, line 4)")
    assert cause_of(error, Owner("x", frozenset(["/somewhere/sea_mine.py"]))).endswith("/sea_mine.py, line 4)")
    assert Owner("x").with_code_of(functools.partial(plugin.fail)).code == {"sea_mine"}
    assert Owner("x").with_code_of(json.loads).code == frozenset(), "a library's function has no lines of a plugin"


def test_an_error_that_has_an_owner_passes_the_guards_around_it():
    def fail():
        with attribute_errors_to("outer", user_errors_pass=True), attribute_errors_to("inner", user_errors_pass=True):
            raise ValueError("no")

    assert raised(fail).owner == "inner"


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, StopIteration, RecursionError, BaseException])
def test_every_exception_but_ctrl_c_is_a_failure(kind):
    def fail():
        with attribute_errors_to("x", user_errors_pass=True):
            raise kind

    assert str(raised(fail)).startswith(f"x: {kind.__name__}")


def test_standard_output_is_left_alone():
    before = sys.stdout
    with attribute_errors_to("a"):
        assert sys.stdout is before


def test_the_step_of_the_run_is_said():
    def fail():
        with during("in step 3"), attribute_errors_to("x", "failed"):
            raise ValueError("no")

    assert str(raised(fail)).startswith("x failed in step 3: ValueError: no (")
