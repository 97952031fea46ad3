"""An installed plugin that a run does not use changes nothing; what an import changes for all is undone."""

from __future__ import annotations

import os
import py_compile
import signal
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from sea_toolkit.registry.hub import PluginHub
from tests.registry.hub_sources import energy, hook

LOUD = "import sys\nsys.modules['was_loaded_' + __name__] = sys\n"
OBSERVER = hook("sea_observe(event)", "event.append(__name__)")


@pytest.fixture(autouse=True)
def _forget():
    yield
    for name in [name for name in sys.modules if name.startswith("was_loaded_")]:
        del sys.modules[name]


def imported() -> list[str]:
    """The plugins of this test whose code was run."""
    return sorted(name.removeprefix("was_loaded_") for name in sys.modules if name.startswith("was_loaded_"))


def record_of(hub: PluginHub, distribution: str):
    """The only record of a distribution."""
    (record,) = [record for record in hub.records if record.distribution == distribution]
    return record


def test_a_run_loads_those_that_watch_and_no_others(install):
    install("sea-plain", LOUD + energy("plain"))
    install("sea-talks", LOUD + '"""It says sea_observe here."""\n# sea_observe\n' + energy("talks"))
    install("sea-watch", LOUD + OBSERVER)
    install("sea-marked", LOUD + hook("watch(event)", decorator='@sea.hookimpl(specname="sea_observe")'))
    install("sea-made", LOUD + "import sea_toolkit as sea\nsea_observe = sea.hookimpl(lambda event: None)\n")
    PluginHub.discover().load_for("sea_observe")
    assert imported() == ["sea_made", "sea_marked", "sea_watch"]


def test_an_observer_that_only_the_last_load_has_shown_is_loaded(install):
    made = 'globals()["sea_" + "observe"] = sea.hookimpl(lambda event: 0)\n'
    install("sea-hidden", LOUD + "import sea_toolkit as sea\n" + made)
    hub = PluginHub.discover()
    hub.load_for("sea_observe")
    assert imported() == []
    hub.load()
    _forget_module("sea_hidden")
    hub = PluginHub.discover()
    hub.load_for("sea_observe")
    assert imported() == ["sea_hidden"]


def test_an_observer_in_bytecode_or_a_zip_file_is_loaded(install, tmp_path, monkeypatch):
    file = install("sea-bytes", LOUD + OBSERVER)
    py_compile.compile(str(file), cfile=str(file.with_suffix(".pyc")))
    file.unlink()
    zipped, quiet = install("sea-zipped", LOUD + OBSERVER), install("sea-quiet", LOUD + energy("quiet"))
    with zipfile.ZipFile(tmp_path / "plugins.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(zipped, zipped.name)
        archive.write(quiet, quiet.name)
    zipped.unlink()
    quiet.unlink()
    monkeypatch.syspath_prepend(str(tmp_path / "plugins.zip"))
    hub = PluginHub.discover()
    hub.load_for("sea_observe")
    assert imported() == ["sea_bytes", "sea_quiet", "sea_zipped"]  # one zip file is one plugin's, as far as is known


def test_a_name_loads_those_that_may_have_it(install):
    loop = 'for name in ("looped", "wanted"):\n        register(name, target="a.b:c")'
    install("sea-wants", LOUD + energy("wanted"))
    install("sea-other", LOUD + energy("other"))
    install("sea-loop", LOUD + hook("sea_register_energies(register)", loop))
    install("sea-sampler", LOUD + hook("sea_register_samplers(register)", 'register("wanted", target="a.b:c")'))
    hub = PluginHub.discover()
    with pytest.raises(Exception, match=r"claimed by sea-loop:wanted .* and sea-wants:wanted"):
        hub.get("energy", "wanted")
    assert imported() == ["sea_loop", "sea_wants"]
    found = [item.qualified for item in hub.find("wanted")]
    assert found == ["sea-loop:wanted", "sea-wants:wanted", "sea-sampler:wanted"]
    assert "sea_other" not in imported()
    assert hub.get("energy", "other")


def test_a_name_that_nobody_seems_to_have_is_looked_for_in_all(install):
    mark = '@sea.hookimpl(specname="sea_register_" + "energies")'
    install("sea-secret", LOUD + hook("f(register)", 'register("secret", target="a.b:c")', mark))
    assert PluginHub.discover().get("energy", "secret").qualified == "sea-secret:secret"


CHANGES = {
    "default dtype to torch.float64": "torch.set_default_dtype(torch.float64)",
    "default device to meta": 'torch.set_default_device("meta")',
    "grad mode to False": "torch.set_grad_enabled(False)",
    "deterministic mode to True": "torch.use_deterministic_algorithms(True)",
    "matmul precision to medium": 'torch.set_float32_matmul_precision("medium")',
    "anomaly mode to True": "torch.autograd.set_detect_anomaly(True)",
    "the working folder to ": 'os.chdir(os.path.dirname(__file__) + "/..")',
    "what Ctrl-C does": "signal.signal(signal.SIGINT, signal.SIG_IGN)",
}


@pytest.mark.parametrize("place", ["import", "failing import", "hook", "target"])
def test_what_an_import_changes_for_everybody_is_put_back_and_told(install, place):
    head = "import os, signal\nimport torch\n"
    change = "\n".join(CHANGES.values())
    indented = change.replace("\n", "\n    ")
    source = {
        "import": head + change + "\n" + energy("e"),
        "failing import": head + change + "\nif 1:\n    raise OSError('no')\n",
        "hook": head + hook("sea_register_energies(register)", indented + '\n    register("e", target="a.b:c")'),
        "target": hook("sea_register_energies(register)", 'register("e", target="sea_inner:e")'),
    }[place]
    install("sea-rude", source)
    install("sea-inner", head + change + "\ndef e(response): return response\n", points={"none": "sea_inner"})
    before = os.getcwd(), signal.getsignal(signal.SIGINT)
    hub = PluginHub.discover(plugins=["sea-rude"])
    hub.load()
    if place == "target":
        assert hub.get("energy", "e").target
    assert torch.get_default_dtype() == torch.float32
    assert torch.get_default_device() == torch.device("cpu")
    assert torch.ones(1).device.type == "cpu"
    assert torch.is_grad_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_float32_matmul_precision() == "highest"
    assert not torch.is_anomaly_enabled()
    assert (os.getcwd(), signal.getsignal(signal.SIGINT)) == before
    record = record_of(hub, "sea-rude")
    for expected in CHANGES:
        assert any(expected in warning for warning in record.warnings), expected
        assert any(note.startswith("plugin 'sea_rude' of sea-rude 1.0: ") and expected in note for note in hub.notes)


def test_what_the_caller_has_set_stays(install):
    install("sea-fine", "import torch\ntorch.set_default_dtype(torch.float64)\n" + energy("fine"))
    torch.set_default_dtype(torch.float16)
    try:
        hub = PluginHub.discover()
        hub.load()
        assert torch.get_default_dtype() == torch.float16
        assert hub.notes
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", ["KeyboardInterrupt", "GeneratorExit", "SystemExit", "asyncio.CancelledError"])
def test_an_import_that_raises_like_ctrl_c_is_its_own_failure(install, name):
    install("sea-raises", f"import asyncio\nif 1:\n    raise {name}\n")
    install("sea-in-hook", hook("sea_register_energies(register)", f"import asyncio; raise {name}"))
    install("sea-fine", energy("fine"))
    hub = PluginHub.discover()
    hub.load()
    for distribution in ("sea-raises", "sea-in-hook"):
        record = record_of(hub, distribution)
        assert record.status == "broken"
        assert name.rpartition(".")[2] in record.error
        assert f"{record.name}.py, line " in record.error
    assert record_of(hub, "sea-fine").status == "ok"


@pytest.mark.parametrize("swallowed", [False, True])
def test_ctrl_c_during_an_import_stops_even_if_the_import_swallows_it(install, swallowed):
    press = "import os, signal\n{}\n"
    kill = "os.kill(os.getpid(), signal.SIGINT)"
    body = f"try:\n    {kill}\n    for i in range(10**6): pass\nexcept BaseException:\n    pass" if swallowed else kill
    install("sea-slow", press.format(body))
    with pytest.raises(KeyboardInterrupt):
        PluginHub.discover().load()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_every_plugin_whose_code_ran_is_listed_with_its_files(install):
    used = install("sea-used", energy("used"))
    install("sea-unused", energy("unused"))
    install("sea-bad", "if 1:\n    raise OSError\n")
    hub = PluginHub.discover()
    assert hub.loaded() == {}
    hub.get("energy", "used")
    first = hub.loaded()
    assert list(first) == ["sea-used:sea_used"]
    assert first["sea-used:sea_used"]["version"] == "1.0"
    hub.load()
    assert {key: entry["status"] for key, entry in hub.loaded().items()} == {
        "sea-bad:sea_bad": "broken",
        "sea-unused:sea_unused": "ok",
        "sea-used:sea_used": "ok",
    }
    data = used.with_name("words.txt")
    data.write_text("rain")
    assert hub.loaded()["sea-used:sea_used"] == first["sea-used:sea_used"]  # a stranger's file in site-packages
    (Path(record_of(hub, "sea-used").metadata) / "RECORD").write_text("sea_used.py,,\nwords.txt,,\n")
    listed = hub.loaded()["sea-used:sea_used"]
    data.write_text("sun")
    changed = hub.loaded()["sea-used:sea_used"]
    assert len({first["sea-used:sea_used"]["files"], listed["files"], changed["files"]}) == 3


def _forget_module(name: str) -> None:
    del sys.modules[name], sys.modules[f"was_loaded_{name}"]
