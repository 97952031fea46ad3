"""`list-plugins`: from metadata alone, quick, and complete."""

from __future__ import annotations

import json
import py_compile
import re
import subprocess
import sys
import zipfile

import pytest

import sea_toolkit as sea
from sea_toolkit.registry.records import CORE
from sea_toolkit.util.version import VERSION
from tests.cli.commands import invoke
from tests.cli.processes import sea_toolkit
from tests.registry.hub_sources import BROKEN, energy, hook


@pytest.fixture
def zoo(install):
    """Healthy, broken, refused and clashing plugins."""
    for name in ("one", "two"):
        install(f"sea-{name}", energy("same"), version="2.0")
    install("sea-api", energy("newer", head="sea_api = 9"))
    install("sea-bad", BROKEN["raise"][0])
    install("sea-slow", energy("slow", head="import time\ntime.sleep(60)"))
    install("sea-shadow", energy("length"))


def listed(*arguments: str):
    """What `list-plugins --json` prints, parsed."""
    result = invoke("list-plugins", "--json", *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def states(content) -> dict[str, str]:
    """Distribution to status."""
    return {row["distribution"]: row["status"] for row in content["plugins"] if row["distribution"] != CORE}


def test_every_state_and_its_cause_without_importing(zoo):
    content = listed()
    assert states(content) == {
        "sea-api": "refused",
        "sea-bad": "broken",
        "sea-one": "not loaded",
        "sea-shadow": "not loaded",
        "sea-slow": "not loaded",
        "sea-two": "not loaded",
    }
    rows = {row["distribution"]: row for row in content["plugins"]}
    assert "the licence server is down" in rows["sea-bad"]["error"]
    assert "sea_api 9" in rows["sea-api"]["error"]
    assert rows["sea-slow"]["provides"] == {"energy": ["slow"]}
    assert rows["sea-one"]["checked"] == "static"
    assert "length" in rows["sea-shadow"]["warnings"][0]
    assert content["clashes"] == [{"what": "energy", "name": "same", "owners": ["sea-one:same", "sea-two:same"]}]
    assert not {"sea_one", "sea_bad", "sea_slow"} & set(sys.modules)


def test_the_shape_of_the_json(install):
    install("sea-one", energy("first"))
    content = listed()
    assert list(content) == ["sea_toolkit", "api", "plugins", "items", "clashes", "left_out"]
    assert (content["sea_toolkit"], content["api"]) == (sea.__version__, sea.SEA_API)
    (row,) = [row for row in content["plugins"] if row["distribution"] == "sea-one"]
    assert list(row) == [
        *("name", "distribution", "version", "value", "status", "error", "warnings", "provides", "hooks"),
        *("checked", "file", "unlisted"),
    ]
    (item,) = [item for item in content["items"] if item["distribution"] == "sea-one"]
    assert item == {
        "kind": "energy",
        "name": "first",
        "qualified": "sea-one:first",
        "distribution": "sea-one",
        "version": "1.0",
        "plugin": "sea_one",
        "summary": "The energy first.",
        "status": "not loaded",
    }
    built_in = [item["name"] for item in content["items"] if item["status"] == "built-in"]
    assert {"cosine", "length", "softmax"} <= set(built_in)


def test_load_verifies(install):
    install("sea-fine", energy("fine", head='print("noise")'))
    install("sea-hidden", "if True:\n    raise OSError('only a load finds this')\n")
    install("sea-lazy", energy("x").replace("@register", 'register("lazy", target="sea_gone:f")\n    @register'))
    assert set(states(listed()).values()) == {"not loaded"}
    content = listed("--load")
    assert states(content) == {"sea-fine": "ok", "sea-hidden": "broken", "sea-lazy": "broken"}
    assert "OSError: only a load finds this" in content["plugins"][-2]["error"]
    assert "sea_gone" in content["plugins"][-1]["error"]
    remembered = listed()
    assert states(remembered) == states(content)
    assert remembered["plugins"][-2]["checked"].startswith("loaded 20")


def test_kind(zoo):
    content = listed("--kind", "schedule")
    assert {item["kind"] for item in content["items"]} == {"schedule"}
    assert [row["name"] for row in content["plugins"]] == ["schedules", "sea_bad"]
    assert content["clashes"] == []
    assert invoke("list-plugins", "--kind", "energies").exit_code == 2


def test_requirements_are_pins(zoo, tmp_path):
    (tmp_path / "mine.py").write_text(energy("mine"))
    result = invoke("list-plugins", "--requirements", "--plugin", tmp_path / "mine.py")
    assert result.stdout.split() == [
        *(
            f"{CORE}=={VERSION}",
            "sea-api==1.0",
            "sea-bad==1.0",
            "sea-one==2.0",
            "sea-shadow==1.0",
            "sea-slow==1.0",
            "sea-two==2.0",
        )
    ]
    assert invoke("list-plugins", "--requirements", "--json").exit_code == 2


def test_for_people(zoo, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    result = invoke("list-plugins")
    assert result.exit_code == 0
    for text in (
        "sea-bad:sea_bad is broken (by its source, not loaded): RuntimeError: the licence server is down",
        "clash: energy 'same'",
    ):
        assert text in result.stdout
    assert "Half a cosine wave from start to end." in result.stdout
    assert "sea-slow:slow" in result.stdout
    monkeypatch.setenv("SEA_PLUGINS", "sea-one")
    assert "left out by SEA_PLUGINS: sea-api:sea_api, sea-bad" in invoke("list-plugins").stdout


@pytest.mark.parametrize("before", [True, False])
def test_plugin_files_before_and_after_the_command(install, tmp_path, before):
    (tmp_path / "mine.py").write_text(energy("mine"))
    options, command = ["--plugin", str(tmp_path / "mine.py")], ["list-plugins", "--json"]
    result = invoke(*([*options, *command] if before else [*command, *options]))
    assert "mine.py:mine" in [item["qualified"] for item in json.loads(result.stdout)["items"]]


@pytest.mark.parametrize("before", [True, False])
def test_strict(install, before):
    command = ["--strict-plugins", "list-plugins"] if before else ["list-plugins", "--strict-plugins"]
    install("sea-fine", energy("fine"))
    assert invoke(*command).exit_code == 0
    install("sea-bad", "if True:\n    raise OSError('only a load finds this')\n")
    result = invoke(*command)
    assert result.exit_code == 1
    assert "error: plugin 'sea_bad' of sea-bad 1.0 is broken: OSError: only a load finds this" in result.stderr
    assert "sea-fine" in result.stdout


def test_nothing_heavy_is_imported(zoo):
    code = (
        "import sys; from sea_toolkit.cli import main\n"
        "try: main(['list-plugins'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'transformers', 'numpy', 'pydantic', 'safetensors'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "import sea_toolkit.registry.hub"
    )
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, check=True, timeout=50)


LONG = "a-name-of-an-energy-that-is-" + "very-" * 12 + "long"


@pytest.mark.parametrize("columns", [None, 80, 40, 10])
def test_names_are_whole_at_every_width(install, columns):
    names = {f"sea-no-medical-advice-{i}": f"brand-voice-{i}" for i in range(8)} | {"sea-long": LONG}
    for distribution, name in names.items():
        install(distribution, energy(name))
    lines = sea_toolkit(["list-plugins"], terminal=columns).stdout.decode().splitlines()
    for distribution, name in names.items():
        (found,) = [line for line in lines if line.startswith("energy ") and name in line.split()]
        assert f"{distribution}:{name}" in found.split()
        (plugin,) = [line for line in lines if line.startswith(distribution.replace("-", "_"))]
        assert plugin.split()[1:3] == [distribution, "1.0"]
    if columns is None:
        (row,) = [line for line in lines if line.split()[:2] == ["energy", LONG]]
        assert row.endswith(f"The energy {LONG}."), "a pipe gets the whole row in its line"


def test_plugins_that_are_left_out_are_a_short_line(install, monkeypatch):
    for i in range(20):
        install(f"sea-n{i:02}", energy(f"n{i}"))
    monkeypatch.setenv("SEA_PLUGINS", "sea-n00")
    shown = invoke("list-plugins").stdout
    assert "left out by SEA_PLUGINS: sea-n01:sea_n01, sea-n02:sea_n02, " in shown
    assert "sea-n05:sea_n05 and 14 more (sea-toolkit list-plugins --json names all)\n" in shown
    assert len(listed()["left_out"]) == 19
    unknown = invoke("describe", "nothing").stderr
    assert "SEA_PLUGINS leaves out sea-n01:sea_n01," in unknown
    assert "and 14 more" in unknown


def test_a_kind_shows_what_may_have_items_of_it(install, tmp_path, monkeypatch):
    loop = 'for name in ("one", "two"):\n        register(name, target="a.b:c")'
    install("sea-loop", hook("sea_register_energies(register)", loop))
    install("sea-watch", hook("sea_observe(event)"))
    install("sea-sampler", hook("sea_register_samplers(register)", 'register("s", target="a.b:c")'))
    compiled, archived = install("sea-pyc", energy("compiled")), install("sea-zip", energy("zipped"))
    py_compile.compile(str(compiled), cfile=str(compiled.with_suffix(".pyc")))
    with zipfile.ZipFile(tmp_path / "plugins.zip", "w") as archive:
        archive.write(archived, archived.name)
    compiled.unlink()
    archived.unlink()
    monkeypatch.syspath_prepend(str(tmp_path / "plugins.zip"))
    shown = invoke("list-plugins", "--kind", "energy").stdout
    for name, provides in (("sea-loop", "energy: …"), ("sea-pyc", "energy: …"), ("sea-zip", "energy: zipped")):
        assert any(name in line and provides in line for line in shown.splitlines()), name
    assert "sea-watch" not in shown
    assert "sea-sampler" not in shown
    everything = invoke("list-plugins").stdout
    assert any("sea-watch" in line and "watches runs" in line for line in everything.splitlines())
    assert not [name for name in ("sea_loop", "sea_pyc", "sea_zip", "sea_watch") if name in sys.modules]


def test_a_failure_of_an_earlier_load_says_of_when_it_is(install):
    install("sea-bad", "if 1:\n    raise OSError('the disk is away')\n")
    invoke("list-plugins", "--load")
    shown = invoke("list-plugins").stdout
    assert re.search(r"sea-bad:sea_bad is broken \(as of 20\d\d-\d\d-\d\dT[^)]+\): OSError: the disk is away", shown)


def test_no_plugin_provides_an_empty_cell(install):
    install("sea-empty", "")
    install("sea-watch", "import sea_toolkit as sea\n\n@sea.hookimpl\ndef sea_observe(event):\n    pass\n")
    for arguments, said in (([], "not known before --load"), (["--load"], "nothing")):
        lines = invoke("list-plugins", *arguments).stdout.splitlines()
        (empty,) = [line for line in lines if line.startswith("sea_empty ")]
        (watch,) = [line for line in lines if line.startswith("sea_watch ")]
        assert empty.endswith(said)
        assert watch.endswith("watches runs")
