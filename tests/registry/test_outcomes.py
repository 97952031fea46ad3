"""The last load's outcome is remembered while nothing has changed, and never gets in the way."""

from __future__ import annotations

import json
import os
import py_compile
import sys
import zipfile

import pytest

from sea_toolkit.registry import outcomes
from sea_toolkit.registry.hub import PluginHub
from tests.registry.hub_sources import energy, names_of


@pytest.fixture
def crafty(install):
    """A plugin that fails in a way that no look at its source finds; loaded once."""
    file = install("sea-crafty", energy("crafty") + "\n\nif 1 + 1 == 2:\n    raise OSError('no licence file')\n")
    PluginHub.discover().load()
    return file


def looked_at():
    """The plugin's record as listing sees it."""
    hub = PluginHub.discover()
    hub.inspect()
    return hub.records[-1]


def test_the_cause_of_the_last_load_is_shown_without_loading(crafty):
    assert "sea_crafty" not in sys.modules
    record = looked_at()
    assert record.status == "broken"
    assert record.error.startswith("OSError: no licence file")
    assert record.checked.startswith("loaded 20")
    assert names_of(record) == {"energy": ["crafty"]}
    hub = PluginHub.discover()
    hub.inspect()
    hub.load()  # a remembered failure does not keep it from being tried
    assert hub.records[-1].error.startswith("OSError")


@pytest.mark.parametrize("change", ["source", "touched", "version", "another distribution"])
def test_any_change_makes_the_outcome_void(crafty, install, tmp_path, change):
    if change == "source":
        crafty.write_text(energy("crafty"))
    elif change == "touched":
        os.utime(crafty, ns=(1, 1))
    elif change == "version":
        (tmp_path / "site" / "sea_crafty-1.0.dist-info" / "METADATA").write_text("Name: sea-crafty\nVersion: 2.0\n")
    else:
        (tmp_path / "site" / "helper-1.0.dist-info").mkdir()
    assert looked_at().checked == "static"
    assert looked_at().status == "not loaded"


def test_a_good_outcome_is_remembered_too(install):
    install("sea-fine", energy("fine"))
    PluginHub.discover().load()
    record = looked_at()
    assert (record.status, record.hooks, names_of(record)) == ("ok", ["sea_register_energies"], {"energy": ["fine"]})
    assert "loaded" in record.checked


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": 3}', "\x00"])
def test_an_unreadable_memory_is_ignored(crafty, content):
    outcomes.cache_file().write_text(content)
    assert looked_at().checked == "static"
    PluginHub.discover().load()
    assert looked_at().checked.startswith("loaded")


@pytest.mark.parametrize(
    "change",
    [
        {"status": "built-in"},
        {"status": 3},
        {"error": 1},
        {"warnings": None},
        {"hooks": [1]},
        {"checked": None},
        {"provides": []},
        {"provides": {"energy": 1}},
        {"provides": {"energy": {"a": None}}},
    ],
)
def test_a_mangled_outcome_is_ignored(crafty, change):
    content = json.loads(outcomes.cache_file().read_text())
    (outcome,) = content.values()
    outcome.update(change)
    outcomes.cache_file().write_text(json.dumps(content))
    assert looked_at().checked == "static"


def test_a_cache_that_cannot_be_written_is_no_error(install, tmp_path, monkeypatch):
    install("sea-fine", energy("fine"))
    (tmp_path / "cache").write_text("a file where the folder should be")
    hub = PluginHub.discover()
    hub.load()
    assert hub.get("energy", "fine")
    assert looked_at().checked == "static"


def test_nothing_temporary_is_left_when_writing_fails(crafty, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = outcomes.cache_file().read_text()
    monkeypatch.setattr(os, "replace", full)
    PluginHub.discover().load()
    assert [path.name for path in outcomes.cache_file().parent.iterdir()] == ["plugins.json"]
    assert outcomes.cache_file().read_text() == before


def test_files_and_objects_given_by_hand_are_not_remembered(install, tmp_path):
    (tmp_path / "mine.py").write_text(energy("mine"))
    PluginHub.discover(plugins=[], files=[tmp_path / "mine.py"]).load()
    assert not outcomes.cache_file().exists()


def packaged(tmp_path, editable: bool) -> dict[str, object]:
    """A package whose entry point is a module of it; that module imports another one and reads a data file."""
    folder = tmp_path / ("project" if editable else "site")
    package = folder / "sea_flat"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    read = "json.loads(pathlib.Path(__file__).with_name('d.json').read_text())"
    source = f"import pathlib, json\nimport sea_flat.words\n{read}\n" + energy("flat")
    (package / "plugin.py").write_text(source)
    (package / "words.py").write_text("WORDS = ['rain']\n")
    (package / "d.json").write_text("{}")
    return {"points": {"flat": "sea_flat.plugin"}, "folder": tmp_path / "site", "package": package}


@pytest.mark.parametrize("editable", [False, True])
@pytest.mark.parametrize("name", ["words.py", "d.json"])
def test_a_change_in_any_file_of_the_package_makes_the_outcome_void(install, tmp_path, monkeypatch, editable, name):
    made = packaged(tmp_path, editable)
    monkeypatch.syspath_prepend(str(made["package"].parent))
    install("sea-flat", None, points=made["points"])
    file, good = made["package"] / name, (made["package"] / name).read_text()

    def load():
        for module in [module for module in sys.modules if module.startswith("sea_flat")]:
            del sys.modules[module]
        PluginHub.discover().load()
        return looked_at()

    assert load().status == "ok"
    file.write_text("broken(")
    assert looked_at().checked == "static"
    assert load().status == "broken"
    file.write_text(good)
    assert looked_at().status == "not loaded"
    assert load().status == "ok"
    (made["package"] / "__pycache__").mkdir(exist_ok=True)
    (made["package"] / "__pycache__" / "x.pyc").write_bytes(b"")
    assert looked_at().status == "ok"


def test_what_lies_beside_an_editable_module_belongs_to_it(install, tmp_path, monkeypatch):
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "sea_alone.py").write_text("import words\n" + energy("alone"))
    (folder / "words.py").write_text("")
    monkeypatch.syspath_prepend(str(folder))
    install("sea-alone", None)
    PluginHub.discover().load()
    assert looked_at().status == "ok"
    (folder / "words.py").write_text("X = 1\n")
    assert looked_at().checked == "static"


def test_a_failure_is_looked_at_again_when_an_environment_variable_that_it_names_changes(install, monkeypatch):
    install("sea-key", energy("key", head="import os\nif 1: os.environ['LICENCE_KEY']"))
    PluginHub.discover().load()
    record = looked_at()
    assert (record.status, record.warnings) == ("broken", [])
    monkeypatch.setenv("SOMETHING_ELSE", "1")
    assert looked_at().status == "broken"
    monkeypatch.setenv("LICENCE_KEY", "abc")
    record = looked_at()
    assert (record.status, record.checked) == ("not loaded", "static")
    (warning,) = record.warnings
    assert "could not be loaded at 20" in warning
    assert "KeyError" in warning
    monkeypatch.delenv("LICENCE_KEY")
    assert looked_at().status == "broken"


def test_a_zip_file_and_bytecode_are_remembered(install, tmp_path, monkeypatch):
    archived, compiled = install("sea-zip", energy("zipped")), install("sea-pyc", energy("compiled"))
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.write(archived, archived.name)
    py_compile.compile(str(compiled), cfile=str(compiled.with_suffix(".pyc")))
    archived.unlink()
    compiled.unlink()
    monkeypatch.syspath_prepend(str(tmp_path / "p.zip"))
    hub = PluginHub.discover()
    hub.inspect()
    pyc, zipped = hub.records[-2:]
    assert names_of(zipped) == {"energy": ["zipped"]}  # the source in a zip file is read as any other
    assert (pyc.provides, pyc.hooks, pyc.unlisted) == ({}, ["sea_register_energies"], ["energy"])
    PluginHub.discover().load()
    hub = PluginHub.discover()
    hub.inspect()
    assert [(r.status, names_of(r)) for r in hub.records[-2:]] == [
        ("ok", {"energy": ["compiled"]}),
        ("ok", {"energy": ["zipped"]}),
    ]
    compiled.with_suffix(".pyc").write_bytes(b"")
    hub = PluginHub.discover()
    hub.inspect()
    assert [r.status for r in hub.records[-2:]] == ["not loaded", "ok"]
