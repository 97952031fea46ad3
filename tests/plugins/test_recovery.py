"""Observers and order among real distributions, and getting rid of one that is broken.

The rest of what pluggy would let pass is in test_wheels.py: one entry-point name in two distributions, a failed import,
`SystemExit`, a slow import, hooks with a default, a wrong argument or a misspelt name, a hook that raises, a name
registered twice, a missing `hookimpl`, another `sea_api`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sea_toolkit.registry.records import CORE
from sea_toolkit.util.version import VERSION
from tests.plugins.environments import Environment, build
from tests.plugins.test_wheels import write_package
from tests.registry.hub_sources import energy

OBSERVER = """
import sea_toolkit as sea

@sea.hookimpl
def sea_observe(event):
    if event.kind == "start":
        print("observed by {name}")
        {more}
"""

SOURCES = {
    "sea-b-watches": OBSERVER.format(name="b", more=""),
    "sea-c-fails": OBSERVER.format(name="c", more='raise RuntimeError("disk full")'),
    "sea-a-watches": OBSERVER.format(name="a", more=""),
    "sea-d-watches": OBSERVER.format(name="d", more=""),
    "sea-hangs": energy("hangs", head="import time\ntime.sleep(300)"),
    "sea-exits": "import os\nos._exit(7)\n",
}
"""Distribution to source; the last two would take the whole process with them, if anything imported them."""

WATCHERS = ["sea-b-watches", "sea-c-fails", "sea-a-watches", "sea-d-watches"]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory) -> dict[str, Path]:
    """Each distribution's wheel."""
    root = tmp_path_factory.mktemp("observers")
    for name, source in SOURCES.items():
        write_package(root / name, name, source)
    found = build([root / name for name in SOURCES], root / "dist")
    return {name: wheel for name in SOURCES for wheel in found if wheel.name.startswith(name.replace("-", "_"))}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A tiny policy as a folder."""
    from sea_toolkit.testing import tiny_model, tiny_tokenizer

    folder = tmp_path_factory.mktemp("tiny") / "model"
    tiny_model().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


START = """
from sea_toolkit.events import Event
from sea_toolkit.registry.hub import PluginHub

hub = PluginHub.discover()
hub.load_for("sea_observe")
start = Event(kind="start", run="a", step=0, steps=2, progress=0.0, energy=[], samples=0.0, texts=[])
print(*hub.observe(start), sep="\\n")
"""
"""What a run does when it starts, without a model."""


def test_one_observer_fails_and_the_others_watch_in_an_order_that_no_installation_changes(wheels, model, tmp_path):
    seen = []
    for turn, order in enumerate((WATCHERS, WATCHERS[::-1])):
        environment = Environment(tmp_path / f"env-{turn}")
        for name in order:
            environment.unpack([wheels[name]])
        if turn:
            done = environment.run("-c", START)
            said, notes = done.stdout, done.stdout.splitlines()
        else:
            flags = ["--model", str(model), "--template", "plain", "--steps", "2", "--chains", "2"]
            flags += ["--max-new-tokens", "6", "--json"]
            done = environment.sea("align", "the rain", "--energy", "length=1,target=3", *flags)
            said, notes = done.stderr, json.loads(done.stdout)["notes"]
        assert done.returncode == 0, done.stderr
        seen.append([line for line in said.splitlines() if line.startswith("observed by")])
        (note,) = (note for note in notes if note.startswith("plugin "))
        assert note.startswith("plugin 'sea_c_fails' of sea-c-fails 1.0, in sea_observe: RuntimeError: disk full")
    assert seen[0] == seen[1] == [f"observed by {name}" for name in "abcd"]


def test_a_plugin_that_takes_python_down_can_be_found_left_out_and_uninstalled(wheels, tmp_path):
    environment = Environment(tmp_path / "env")
    environment.unpack([wheels["sea-hangs"], wheels["sea-exits"], wheels["sea-a-watches"]])
    done = environment.sea("list-plugins", "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["distribution"]: row for row in json.loads(done.stdout)["plugins"]}
    assert rows["sea-hangs"]["provides"] == {"energy": ["hangs"]}
    assert (rows["sea-hangs"]["status"], rows["sea-exits"]["status"]) == ("not loaded", "broken")
    assert "exit" in rows["sea-exits"]["error"]
    pins = environment.sea("list-plugins", "--requirements").stdout.split()
    assert pins == ["sea-a-watches==1.0", f"{CORE}=={VERSION}", "sea-exits==1.0", "sea-hangs==1.0"]
    for arguments in (["--version"], ["--help"], ["align", "--help"], ["new-plugin", "calm", "--kind", "energy"]):
        done = environment.sea(*arguments, *(["--out", str(tmp_path)] if "new-plugin" in arguments else []))
        assert done.returncode == 0, done.stderr
    done = environment.sea("describe", "sentiment", SEA_PLUGINS="sea-a-watches")
    assert done.returncode == 0, done.stderr
    done = environment.run("-m", "pip", "uninstall", "--yes", "--quiet", "sea-exits", "sea-hangs")
    assert done.returncode == 0, done.stderr
    done = environment.sea("list-plugins", "--load", "--json")
    states = {row["distribution"]: row["status"] for row in json.loads(done.stdout)["plugins"]}
    assert {name: states[name] for name in states if name != CORE} == {"sea-a-watches": "ok"}
