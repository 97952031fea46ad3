"""The last load's outcome is remembered while nothing has changed, and never gets in the way."""

from __future__ import annotations

import json
import os
import sys

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
