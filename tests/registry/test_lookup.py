"""From a name to an item: clashes, shadowing, did-you-mean, broken owners, and which plugins are considered."""

from __future__ import annotations

import re

import pytest

import sea_toolkit as sea
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.registry.records import CORE, KINDS
from tests.registry.hub_sources import BROKEN, energy, names_of


def test_a_clash_is_an_error_at_use_that_lists_both_owners(install):
    install("sea-one", energy("same"))
    install("sea-two", energy("same"), version="2.5")
    hub = PluginHub.discover()
    hub.load()
    with pytest.raises(sea.RecipeError) as caught:
        hub.get("energy", "same", "energies[0]")
    message = str(caught.value)
    assert message.startswith("energies[0]: energy 'same' is claimed by sea-one:same (plugin 'sea_one' of sea-one 1.0)")
    assert "sea-two:same (plugin 'sea_two' of sea-two 2.5)" in message
    assert "try: write sea-one:same or sea-two:same" in message
    assert hub.get("energy", "sea-two:same").version == "2.5"
    assert [(c.what, c.name) for c in hub.clashes()] == [("energy", "same")]


def test_one_name_twice_in_a_distribution(install, tmp_path):
    install("sea-pair", energy("same"), points={"a": "sea_pair", "b": "sea_pair_b"})
    (tmp_path / "site" / "sea_pair_b.py").write_text(energy("same"))
    with pytest.raises(sea.RecipeError, match="leave one of the plugins out"):
        PluginHub.discover().get("energy", "sea-pair:same")


def test_a_built_in_cannot_be_shadowed(install):
    install("sea-grab", energy("length"))
    hub = PluginHub.discover()
    hub.load()
    assert hub.get("energy", "length").distribution == CORE
    assert hub.get("energy", "sea-alignment:length") is hub.get("energy", "length")
    assert hub.get("energy", "sea-grab:length").build({"factor": 3})(None) == 3.0
    assert hub.records[-1].warnings == [
        "its energy 'length' is reached as sea-grab:length only: the short name is built-in"
    ]


@pytest.mark.parametrize("spelling", ["Sea_Long.Name", "sea-long-name", "SEA.LONG_NAME"])
def test_distribution_names_are_compared_as_pep_503_says(install, spelling):
    install("Sea_Long-Name", energy("it"))
    assert PluginHub.discover().get("energy", f"{spelling}:it").distribution == "sea-long-name"


def test_an_unknown_name_gets_what_is_close(install):
    install("sea-one", energy("brevity"))
    hub = PluginHub.discover()
    with pytest.raises(
        sea.RecipeError, match=r"energies\[2\]: energy 'brevty' does not exist\ntry: did you mean 'brevity'"
    ):
        hub.get("energy", "brevty", "energies[2]")
    with pytest.raises(sea.RecipeError, match="did you mean 'sea-one:brevity'"):
        hub.get("energy", "sea-one:brevty")
    with pytest.raises(
        sea.RecipeError, match=r"no distribution 'sea-won' with plugins is installed\ntry: did you mean 'sea-one'"
    ):
        hub.get("energy", "sea-won:brevity")
    with pytest.raises(sea.RecipeError, match="'cosine' is the name of: schedule"):
        hub.get("energy", "cosine")
    with pytest.raises(sea.RecipeError, match=r"no kind of item 'schedules'\ntry: did you mean 'schedule'"):
        hub.get("schedules", "length")


def test_an_unknown_name_mentions_the_broken(install):
    install("sea-bad", BROKEN["raise"][0])
    with pytest.raises(sea.RecipeError) as caught:
        PluginHub.discover().get("energy", "mine")
    assert "it may be missing because plugin 'sea_bad' of sea-bad 1.0 is broken: RuntimeError: the lic" in str(
        caught.value
    )


@pytest.mark.parametrize("name", ["wanted", "sea-bad:wanted"])
def test_the_broken_owner_of_a_name_is_told(install, name):
    install("sea-bad", energy("wanted") + "\n\nif True:\n    raise ValueError('broken inside')\n")
    install("sea-fine", energy("fine"))
    hub = PluginHub.discover()
    with pytest.raises(
        sea.PluginError, match=rf"energy '{name}' comes from .*sea-bad 1\.0, which is broken: ValueError: broken"
    ):
        hub.get("energy", name)
    assert hub.get("energy", "fine")


def test_find_shows_every_kind_that_has_the_name(install):
    install("sea-one", energy("cosine"))
    found = PluginHub.discover().find("cosine")
    assert [item.qualified for item in found] == ["sea-one:cosine", "sea-alignment:cosine"]
    assert [item.kind for item in PluginHub.discover().find("cosine", "schedule")] == ["schedule"]


@pytest.mark.parametrize(
    ("value", "kept"),
    [("", []), ("sea_one", ["sea-one"]), ("sea-two , sea_one", ["sea-one", "sea-two"]), ("Sea_Two", ["sea-two"])],
)
def test_sea_plugins_selects_by_entry_point_or_distribution(install, monkeypatch, value, kept):
    install("sea-one", energy("first"))
    install("sea-two", energy("second"), points={"two": "sea_two"})
    monkeypatch.setenv("SEA_PLUGINS", value)
    hub = PluginHub.discover()
    assert [r.distribution for r in hub.records if r.distribution != CORE] == kept
    for distribution, name in (("sea-one", "first"), ("sea-two", "second")):
        if distribution in kept:
            assert hub.get("energy", name).distribution == distribution
        else:
            with pytest.raises(sea.RecipeError, match=f"SEA_PLUGINS leaves out .*{distribution}"):
                hub.get("energy", name)
    assert hub.get("schedule", "cosine")
    everything = PluginHub.discover(plugins=["sea-one", "sea-two"])
    assert everything.get("energy", "second"), "an argument goes before the variable"


def test_sea_plugins_with_an_unknown_name(install, monkeypatch):
    install("sea-one", energy("first"))
    monkeypatch.setenv("SEA_PLUGINS", "sea-on")
    with pytest.raises(sea.RecipeError, match=r"SEA_PLUGINS names 'sea-on', but .*\ntry: did you mean 'sea-one'"):
        PluginHub.discover()


def test_a_plugin_in_a_file(tmp_path):
    file = tmp_path / "mine.py"
    head = "from dataclasses import dataclass\n@dataclass\nclass Local:\n    x: int = 0\n"
    file.write_text(energy("mine", head=head))
    hub = PluginHub.discover(plugins=[], files=[file, str(file)])
    item = hub.get("energy", "mine")
    assert (item.qualified, item.plugin) == ("mine.py:mine", "mine")
    assert item.version.startswith("sha256:")
    assert hub.get("energy", "mine.py:mine") is item
    file.write_text(energy("main"))  # the same length, within the same second
    assert PluginHub.discover(plugins=[], files=[file]).get("energy", "main").version != item.version
    assert not list(tmp_path.glob("__pycache__"))


def test_two_files_of_one_name(tmp_path):
    for folder, name in (("a", "first"), ("b", "second")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(energy(name))
    hub = PluginHub.discover(plugins=[], files=sorted(tmp_path.glob("*/mine.py")))
    assert hub.get("energy", "first")
    assert hub.get("energy", "second")


def test_the_value_of_an_entry_point_may_name_extras(install):
    install("sea-extra", energy("extra"), points={"p": "sea_extra [fast]"})
    hub = PluginHub.discover()
    hub.inspect()
    assert names_of(hub.records[-1]) == {"energy": ["extra"]}
    assert hub.get("energy", "extra")


def test_a_missing_or_broken_file(tmp_path):
    with pytest.raises(sea.RecipeError, match=re.escape("nowhere.py' cannot be read (No such file or directory)")):
        PluginHub.discover(plugins=[], files=[tmp_path / "nowhere.py"])
    with pytest.raises(sea.RecipeError, match="cannot be read"):
        PluginHub.discover(plugins=[], files=[tmp_path])
    (tmp_path / "bad.py").write_text("def broken(:\n")
    hub = PluginHub.discover(plugins=[], files=[tmp_path / "bad.py"])
    with pytest.raises(sea.PluginError, match=r"plugin 'bad' of bad\.py sha256:\w+ is broken: SyntaxError"):
        hub.load()
    hub = PluginHub.discover(plugins=[], files=[tmp_path / "bad.py"])
    hub.load(tolerant=True)
    assert hub.records[-1].status == "broken"


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_place_is_not_said_twice_when_it_is_called_like_the_kind(kind):
    hub = sea.PluginHub.discover(plugins=[])
    with pytest.raises(sea.RecipeError, match=rf"^{kind} 'no-such-name' does not exist"):
        hub.get(kind, "no-such-name", kind)
    with pytest.raises(sea.RecipeError, match=rf"^energies\[1\]: {kind} 'no-such-name' does not exist"):
        hub.get(kind, "no-such-name", "energies[1]")
