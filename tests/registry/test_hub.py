"""One plugin's fault stays its own: each way to be broken, with distributions as pip leaves them."""

from __future__ import annotations

import logging
import subprocess
import sys
import types

import pytest

import sea_toolkit as sea
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.registry.records import CORE
from tests.registry.hub_sources import BROKEN, BROKEN_AT_LOAD, energy, hook, names_of


def record_of(hub: PluginHub, distribution: str):
    """The only record of a distribution."""
    (record,) = [record for record in hub.records if record.distribution == distribution]
    return record


@pytest.mark.parametrize("case", [*BROKEN, *BROKEN_AT_LOAD])
def test_a_broken_plugin_is_a_record_and_nothing_else(install, case):
    source, cause = {**BROKEN, **BROKEN_AT_LOAD}[case]
    install("sea-aaa", energy("before"))
    install("sea-bad", source)
    install("sea-zzz", energy("after"))
    hub = PluginHub.discover()
    hub.load()
    bad = record_of(hub, "sea-bad")
    assert (bad.status, bad.hooks) == ("broken", [])
    assert cause in bad.error
    assert not [item for item in hub.items() if item.distribution == "sea-bad"]
    for name in ("before", "after"):
        assert hub.get("energy", name).build({"factor": 2.0})(None) == 2.0
    assert hub.get("energy", "length").distribution == CORE


def test_the_cause_names_the_plugins_own_line(install):
    file = install("sea-bad", "def f():\n    return 1 / 0\n\n\nf()\n")
    hub = PluginHub.discover()
    hub.load()
    assert f"({file}, line 2)" in record_of(hub, "sea-bad").error


def test_another_api_version_is_refused_with_both_numbers(install):
    install("sea-new", energy("new", head="sea_api = 2"))
    install("sea-same", energy("same", head="sea_api = 1"))
    hub = PluginHub.discover()
    hub.load()
    refused = record_of(hub, "sea-new")
    assert refused.status == "refused"
    assert "sea_api 2" in refused.error
    assert "sea_api 1" in refused.error
    assert record_of(hub, "sea-same").status == "ok"
    with pytest.raises(
        sea.PluginError, match=r"energy 'new' comes from plugin 'sea_new' of sea-new 1\.0, which is refused"
    ):
        hub.get("energy", "new")


def test_an_unmarked_hook_and_an_empty_plugin_are_warnings(install):
    install("sea-plain", hook("sea_register_energies(register)", decorator=""))
    hub = PluginHub.discover()
    hub.load()
    record = record_of(hub, "sea-plain")
    assert record.status == "ok"
    assert record.warnings == [
        "sea_register_energies is not marked with @sea.hookimpl and is therefore ignored",
        "has no function marked with @sea.hookimpl, so it adds nothing",
    ]


def test_two_distributions_with_one_entry_point_name_both_load(install):
    install("sea-one", energy("first"), points={"same": "sea_one"})
    install("sea-two", energy("second"), points={"same": "sea_two"})
    hub = PluginHub.discover()
    assert hub.get("energy", "first").qualified == "sea-one:first"
    assert hub.get("energy", "second").qualified == "sea-two:second"
    assert [(c.what, c.name, c.owners) for c in hub.clashes()] == [
        ("entry point", "same", ("sea-one:same", "sea-two:same"))
    ]


def test_two_entry_points_for_one_module_register_it_once(install):
    install("sea-one", energy("first"), points={"a": "sea_one", "b": "sea_one"})
    hub = PluginHub.discover()
    assert hub.get("energy", "first").plugin == "a"
    assert [r.status for r in hub.records if r.distribution == "sea-one"] == ["ok", "broken"]
    assert "leads to the same object as entry point 'a' of the same distribution" in hub.records[-1].error


def test_records_come_in_the_order_of_distribution_and_name(install, tmp_path, monkeypatch):
    install("sea-zz", energy("z"))
    other = tmp_path / "other"
    install("sea-aa", energy("a"), points={"y": "sea_aa", "x": "sea_aa"}, folder=other)
    for paths in ([str(other)], [str(tmp_path / "site"), str(other)]):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "path", [*paths, *sys.path])
            keys = [r.key for r in PluginHub.discover().records if r.distribution in ("sea-aa", "sea-zz")]
            assert keys == ["sea-aa:x", "sea-aa:y", "sea-zz:sea_zz"]


def test_the_first_distribution_of_a_name_counts(install, tmp_path):
    install("sea-one", energy("first"))
    install("Sea_One", energy("first"), version="0.1", folder=tmp_path / "late")
    sys.path.append(str(tmp_path / "late"))
    try:
        assert record_of(PluginHub.discover(), "sea-one").version == "1.0"
    finally:
        sys.path.remove(str(tmp_path / "late"))


def test_an_entry_point_that_is_none_is_a_broken_record(install, tmp_path):
    install("sea-fine", energy("fine"))
    install("sea-odd", energy("odd"))
    (tmp_path / "site" / "sea_odd-1.0.dist-info" / "entry_points.txt").write_bytes(b"[sea_toolkit]\nx = \xff\xfe\n")
    hub = PluginHub.discover()
    hub.inspect()
    assert [r.status for r in hub.records if r.distribution != CORE] == ["not loaded", "broken"]
    for _ in range(2):
        assert "entry_points.txt is no entry point" in hub.records[-1].error
        assert "sea_odd-1.0.dist-info" in hub.records[-1].error
        assert hub.get("energy", "fine")
        hub.load()


def test_nothing_is_imported_for_a_built_in_name(install):
    install("sea-loud", "import sys\nsys.loud_was_here = True\n")
    hub = PluginHub.discover()
    assert hub.get("schedule", "cosine").target
    assert hub.get("schedule", "sea-alignment:cosine").target
    assert "sea_loud" not in sys.modules
    assert record_of(hub, "sea-loud").status == "not loaded"


def test_a_qualified_name_loads_its_distribution_only(install):
    install("sea-want", energy("wanted"))
    install("sea-other", energy("other"))
    hub = PluginHub.discover()
    assert hub.get("energy", "sea-want:wanted")
    assert "sea_other" not in sys.modules


def test_load_twice_imports_once(install):
    install("sea-count", "import sys\nsys.sea_count = getattr(sys, 'sea_count', 0) + 1\nraise ImportError('no')\n")
    try:
        hub = PluginHub.discover()
        hub.load()
        hub.load()
        assert sys.sea_count == 1
    finally:
        del sys.sea_count


def test_strict_makes_a_broken_plugin_an_error(install):
    install("sea-bad", BROKEN["raise"][0])
    install("sea-fine", energy("fine"))
    hub = PluginHub.discover(strict=True)
    with pytest.raises(sea.PluginError, match=r"plugin 'sea_bad' of sea-bad 1\.0 is broken: RuntimeError: the licence"):
        hub.load()
    with pytest.raises(sea.PluginError, match="licence"):
        hub.get("energy", "fine")
    assert hub.get("energy", "sea-fine:fine")
    PluginHub.discover().load()


def test_what_a_plugin_prints_goes_where_python_prints(install, capsys):
    install("sea-noisy", energy("noisy", head='print("at import")') + '\nprint("at the end")\n')
    hub = PluginHub.discover()
    hub.load()
    assert capsys.readouterr() == ("at import\nat the end\n", "")  # a command has its own standard output


def test_a_lazy_target_that_fails_names_its_plugin(install):
    install("sea-lazy", hook("sea_register_energies(register)", 'register("lazy", target="sea_lazy_inner:f")'))
    hub = PluginHub.discover()
    item = hub.get("energy", "lazy")
    assert hub.records[-1].status == "ok"
    with pytest.raises(
        sea.PluginError, match=r"energy 'lazy' \(plugin 'sea_lazy' of sea-lazy 1\.0\) cannot be imported"
    ):
        item.build()
    hub.verify()
    assert hub.records[-1].status == "broken"
    assert "No module named 'sea_lazy_inner'" in hub.records[-1].error
    assert item not in hub.items()


def test_a_constructor_that_fails(install):
    source = """
        import sea_toolkit as sea

        @sea.hookimpl
        def sea_register_energies(register):
            @register("picky")
            class Picky:
                def __init__(self, *, size: int = 1):
                    if size > 9:
                        raise ValueError("size is at most 9")
                    self.size = 8 // size

                def bind(self, context): ...
    """
    install("sea-picky", source)
    item = PluginHub.discover().get("energy", "picky")
    assert item.build({"size": 4}, "energy").size == 2
    with pytest.raises(sea.RecipeError, match=r"^energy: size is at most 9"):
        item.build({"size": 10}, "energy")
    with pytest.raises(
        sea.PluginError, match=r"plugin 'sea_picky' of sea-picky 1\.0\) cannot be made: ZeroDivisionError"
    ):
        item.build({"size": 0}, "energy")


def test_observers_are_called_in_order_and_a_failing_one_is_left_out(install, caplog):
    install("sea-bb", hook("sea_observe(event)", "event.append('bb')"))
    install("sea-cc", hook("sea_observe(event)", "event.append('cc')", "@sea.hookimpl(tryfirst=True)"))
    install("sea-dd", hook("sea_observe(event)", "event.append('dd'); raise sea.RecipeError('full')"))
    install("sea-ee", hook("sea_observe()", "print('without the event')"))
    hub = PluginHub.discover()
    hub.load()
    seen: list[str] = []
    with caplog.at_level(logging.WARNING, "sea_toolkit.plugins"):
        failures = hub.observe(seen)
    assert seen == ["cc", "bb", "dd"]
    (failure,) = failures
    assert failure.startswith("plugin 'sea_dd' of sea-dd 1.0, in sea_observe: full (")
    assert failures[0] in caplog.text
    assert hub.observe(seen) == []
    assert seen == ["cc", "bb", "dd", "cc", "bb"]
    assert record_of(hub, "sea-dd").warnings == failures


def test_temporarily_restores_everything(install):
    hub = PluginHub.discover(plugins=[])
    before = [item.qualified for item in hub.items()], list(hub.records)
    plugin = types.ModuleType("mine")
    exec(energy("mine"), plugin.__dict__)
    with hub.temporarily(plugin, name="mine") as record:
        assert names_of(record) == {"energy": ["mine"]}
        assert hub.get("energy", "mine").qualified == "temporary:mine"
    assert ([item.qualified for item in hub.items()], list(hub.records)) == before
    other = types.ModuleType("other")
    exec(energy("other"), other.__dict__)
    with hub.temporarily(plugin), hub.temporarily(other):
        assert hub.get("energy", "mine")
        assert hub.get("energy", "other")
    with pytest.raises(RuntimeError, match="inside"), hub.temporarily(plugin):
        raise RuntimeError("inside")
    with pytest.raises(sea.RecipeError, match="energy 'mine' does not exist"):
        hub.get("energy", "mine")
    with pytest.raises(sea.PluginError, match="does not have"), hub.temporarily(_WrongArgument()):
        raise AssertionError("a broken plugin must not get in")
    assert list(hub.records) == before[1]


class _WrongArgument:
    @sea.hookimpl
    def sea_observe(self, happening):
        """Has another argument than the hook."""


def test_the_trace_names_each_hook_call(install):
    install("sea-one", energy("first"))
    code = "from sea_toolkit.registry.hub import PluginHub; PluginHub.discover().load()"
    environment = {"PYTHONPATH": ":".join(sys.path), "SEA_TRACE_PLUGINS": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "sea_toolkit.plugins: sea_register_energies of plugin 'sea_one' of sea-one 1.0" in done.stderr
    assert done.stdout == ""
    environment["SEA_TRACE_PLUGINS"] = ""
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_register_after_the_hook_has_returned_is_refused(install):
    keep = "def sea_register_energies(register):\n    sea.kept_register = register\n"
    install("sea-late", f"import sea_toolkit as sea\n\n@sea.hookimpl\n{keep}")
    hub = PluginHub.discover()
    hub.load()
    try:
        with pytest.raises(sea.PluginError, match="after sea_register_energies had returned"):
            sea.kept_register("late", print)
    finally:
        del sea.kept_register
    assert not [item for item in hub.items() if item.distribution == "sea-late"]
