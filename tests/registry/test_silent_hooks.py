"""A hook that registers nothing, or half, says so: by name, before a load where the source shows it, and after one."""

from __future__ import annotations

import contextlib
import threading

import pytest

import sea_toolkit as sea
from sea_toolkit.registry.hub import PluginHub
from tests.registry.hub_sources import energy, hook, names_of

HOOK = "sea_register_energies"
BODY = 'register("e", target="a.b:c")'


def methods(*lines: str) -> str:
    """A plugin of the class `Plugin`, whose only method has these lines, and an instance of it."""
    body = "".join(f"    {line}\n" for line in lines)
    return f"import sea_toolkit as sea\n\nclass Plugin:\n{body}\nplugin = Plugin()\n"


DEF = f"def {HOOK}(self, register): {BODY}"
CLASS_DEF = f"def {HOOK}(cls, register): {BODY}"
STATIC_DEF = f"def {HOOK}(register): {BODY}"

REFUSED = {
    "async": (hook(f"{HOOK}(register)", BODY).replace("\ndef", "\nasync def"), "", "is a coroutine function"),
    "async generator": (
        hook(f"{HOOK}(register)", "yield").replace("\ndef", "\nasync def"),
        "",
        "is a coroutine function",
    ),
    "async observer": (hook("sea_observe(event)").replace("\ndef", "\nasync def"), "", "sea_observe is a coroutine"),
    "generator": (hook(f"{HOOK}(register)", f"{BODY}; yield"), "", "has a yield"),
    "classmethod below": (methods("@sea.hookimpl", "@classmethod", CLASS_DEF), ":plugin", "marked above @classmethod"),
    "staticmethod below": (
        methods("@sea.hookimpl", "@staticmethod", STATIC_DEF),
        ":plugin",
        "marked above @classmethod",
    ),
    "marked by a call": (methods("@sea.hookimpl()", "@classmethod", CLASS_DEF), ":plugin", "marked above @classmethod"),
    "class": (methods("@sea.hookimpl", DEF), ":Plugin", "let it name an instance"),
}
REFUSED_AT_LOAD = {
    "partial": (
        "import functools\nimport sea_toolkit as sea\ndef f(size, register): pass\n"
        f"{HOOK} = sea.hookimpl(functools.partial(f, 3))\n",
        "is marked and is no function",
    ),
    "callable object": (
        f"import sea_toolkit as sea\nclass C:\n    def __call__(self, register): pass\n{HOOK} = sea.hookimpl(C())\n",
        "is marked and is no function",
    ),
    "class as a hook": (
        f"import sea_toolkit as sea\n\n@sea.hookimpl\nclass {HOOK}:\n    def __init__(self, register): pass\n",
        "is marked and is no function",
    ),
    "wrapped coroutine": (
        "import functools\nimport sea_toolkit as sea\nasync def f(register): pass\n"
        f"@sea.hookimpl\n@functools.wraps(f)\ndef {HOOK}(register): return f(register)\n",
        f"in {HOOK}: {HOOK} returned a coroutine",
    ),
}
WARNED = {
    "returns a table": (
        hook(f"{HOOK}()", 'return {"e": print}'),
        [f"{HOOK} returned a dict", f"{HOOK} registered nothing"],
    ),
    "returns and registers": (hook(f"{HOOK}(register)", f"{BODY}; return 0"), [f"{HOOK} returned a int"]),
    "empty": (hook(f"{HOOK}(register)"), [f"{HOOK} registered nothing"]),
    "not called for": (hook(f"{HOOK}(register)", f"if False: {BODY}"), [f"{HOOK} registered nothing"]),
    "unmarked partial": (
        f"import functools\n{HOOK} = functools.partial(print)\n",
        ["has no function marked with @sea.hookimpl"],
    ),
}
FINE = {
    "instance": (methods("@sea.hookimpl", DEF), ":plugin"),
    "classmethod above": (methods("@classmethod", "@sea.hookimpl", CLASS_DEF), ":plugin"),
    "staticmethod above": (methods("@staticmethod", "@sea.hookimpl", STATIC_DEF), ":plugin"),
    "class of static methods": (methods("@staticmethod", "@sea.hookimpl", STATIC_DEF), ":Plugin"),
    "lambda": (f"import sea_toolkit as sea\n{HOOK} = sea.hookimpl(lambda register: [{BODY}] and None)\n", ""),
    "another name": (hook("mine(register)", BODY, f'@sea.hookimpl(specname="{HOOK}")'), ""),
    "generator inside": (hook(f"{HOOK}(register)", f"{BODY}\n    def inner(): yield"), ""),
}


def record_after(load: bool, distribution: str):
    """The plugin's record as a list without a load or after one shows it."""
    hub = PluginHub.discover()
    hub.load() if load else hub.inspect()
    (record,) = [record for record in hub.records if record.distribution == distribution]
    return record


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.filterwarnings("error")
def test_a_hook_that_would_do_nothing_is_refused_by_name(install, case):
    source, attribute, cause = REFUSED[case]
    install("sea-half", source, points={"half": f"sea_half{attribute}"})
    for load in (False, True):
        record = record_after(load, "sea-half")
        assert (record.status, record.hooks) == ("broken", [])
        assert cause in record.error
        assert record.error.startswith("sea_")
        assert "expected: def sea_" in record.error


@pytest.mark.parametrize("case", REFUSED_AT_LOAD)
@pytest.mark.filterwarnings("error")
def test_a_hook_that_is_no_function_is_refused_by_name(install, case):
    source, cause = REFUSED_AT_LOAD[case]
    install("sea-half", source)
    record = record_after(True, "sea-half")
    assert record.status == "broken"
    assert cause in record.error
    assert HOOK in record.error


@pytest.mark.parametrize("case", WARNED)
def test_a_hook_that_registers_nothing_or_returns_something_carries_a_warning(install, case):
    source, warnings = WARNED[case]
    install("sea-half", source)
    record = record_after(True, "sea-half")
    assert record.status == "ok"
    assert len(record.warnings) == len(warnings)
    for found, expected in zip(record.warnings, warnings, strict=True):
        assert expected in found
    assert record_after(False, "sea-half").warnings == record.warnings  # remembered


@pytest.mark.parametrize("case", FINE)
def test_what_works_is_not_refused(install, case):
    source, attribute = FINE[case]
    install("sea-fine", source, points={"fine": f"sea_fine{attribute}"})
    assert not record_after(False, "sea-fine").failed
    hub = PluginHub.discover()
    hub.load()
    record = hub.records[-1]
    assert (record.status, record.warnings, names_of(record)) == ("ok", [], {"energy": ["e"]})


def test_a_registration_that_comes_too_late_is_a_warning_in_the_row(install):
    install("sea-late", energy("first") + "    global late\n    late = register\n")
    hub = PluginHub.discover()
    hub.load()
    module = __import__("sea_late")

    def register_late() -> None:
        with contextlib.suppress(sea.PluginError):
            module.late("second", print)

    thread = threading.Thread(target=register_late)
    thread.start()
    thread.join()
    (warning,) = hub.records[-1].warnings
    assert warning == f"register('second') was called after {HOOK} had returned, so it registers nothing"
    assert names_of(hub.records[-1]) == {"energy": ["first"]}
