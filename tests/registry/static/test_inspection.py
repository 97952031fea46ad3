"""A look at a plugin's source: finds what must fail without importing it, and does not cry wolf."""

from __future__ import annotations

import sys

import pytest

from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.registry.records import CORE
from tests.registry.hub_sources import BROKEN, energy, hook, names_of


def looked_at():
    """The only third-party record, after a look at its source."""
    hub = PluginHub.discover()
    hub.inspect()
    (record,) = [record for record in hub.records if record.distribution != CORE]
    return record


@pytest.mark.parametrize("case", BROKEN)
def test_what_must_fail_is_found_without_importing(install, case):
    source, cause = BROKEN[case]
    install("sea-bad", source)
    record = looked_at()
    assert (record.status, record.checked) == ("broken", "static")
    assert cause in record.error
    assert "sea_bad" not in sys.modules


def test_a_healthy_plugin_shows_what_it_provides(install):
    source = energy("one") + (
        "\n\n@sea.hookimpl\ndef sea_register_models(register):\n"
        '    register("m", target="torch:nn", summary="A model.")\n    register(name="n", target="torch:nn")\n'
        "\n\n@sea.hookimpl\ndef sea_register_commands(cli):\n"
        '    @cli.command("do-it")\n    def f():\n        """Does it."""\n'
        "    @cli.command()\n    def plain_name():\n        pass\n"
    )
    file = install("sea-fine", source)
    record = looked_at()
    assert (record.status, record.error, record.checked) == ("not loaded", None, "static")
    assert record.provides == {
        "energy": {"one": "The energy one."},
        "model": {"m": "A model.", "n": ""},
        "command": {"do-it": "Does it.", "plain-name": ""},
    }
    assert record.hooks == ["sea_register_commands", "sea_register_energies", "sea_register_models"]
    assert record.file == str(file)


@pytest.mark.parametrize("marker", ["from sea_toolkit import hookimpl", "hookimpl = sea.hookimpl"])
@pytest.mark.parametrize("use", ["@hookimpl", "@hookimpl(trylast=True)"])
def test_the_marker_under_other_names(install, marker, use):
    install("sea-x", hook("sea_register_energies(wrong)", head=marker, decorator=use))
    assert "'wrong'" in looked_at().error


def test_another_api(install):
    install("sea-x", energy("x", head="sea_api = 7"))
    assert looked_at().status == "refused"
    assert "sea_api 7" in looked_at().error


def test_an_unmarked_hook(install):
    install("sea-x", hook("sea_observ(event)", decorator=""))
    assert looked_at().warnings == ["sea_observ is not marked with @sea.hookimpl and is therefore ignored"]


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("sea_nowhere", "No module named 'sea_nowhere'"),
        ("sea_x.inner", "No module named 'sea_x.inner'; 'sea_x' is not a package"),
        ("sea_x:plugin", "module 'sea_x' has no attribute 'plugin'"),
    ],
)
def test_an_entry_point_to_nothing(install, value, error):
    install("sea-x", "x = 1\n", points={"p": value})
    assert error in looked_at().error
    assert "sea_x" not in sys.modules


def test_a_plugin_object_of_a_class(install):
    source = """
        import sea_toolkit as sea

        class Plugin:
            sea_api = 1

            @sea.hookimpl
            def sea_register_energies(self, register):
                register("a", target="x:y")

            @sea.hookimpl
            def sea_observe(self, wrong):
                pass

        plugin = Plugin()
    """
    install("sea-x", source, points={"p": "sea_x:plugin"})
    record = looked_at()
    assert names_of(record) == {"energy": ["a"]}
    assert "'wrong'" in record.error


def package(tmp_path, **files: str) -> None:
    """A package `sea_pack` with these modules."""
    folder = tmp_path / "site" / "sea_pack"
    folder.mkdir()
    for name, source in files.items():
        (folder / f"{name}.py").write_text(source)


@pytest.mark.parametrize(
    ("files", "cause"),
    [
        ({"__init__": "", "plugin": "from . import gone_wrong\nfrom .gone import x\n"}, "'sea_pack.gone'"),
        (
            {"__init__": "", "plugin": "from sea_pack.deep import f\n", "deep": "raise OSError('deep')\n"},
            "OSError: deep",
        ),
        ({"__init__": "import sys\nsys.exit()\n", "plugin": ""}, "SystemExit"),
        ({"__init__": "", "plugin": "from sea_pack import plugin\nimport sea_pack.plugin\nraise E\n"}, "E ("),
    ],
)
def test_packages_are_followed_and_parents_count(install, tmp_path, files, cause):
    install("sea-pack", None, points={"p": "sea_pack.plugin"})
    package(tmp_path, **files)
    assert cause in looked_at().error
    assert "sea_pack" not in sys.modules


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    import no_such_module\nexcept ImportError:\n    pass\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import no_such_module\n",
        "def later():\n    raise RuntimeError\n",
        "import sys\nsys.path.insert(0, 'vendored')\nimport no_such_module\n",
        "import os.path\nimport xml.etree.ElementTree\nfrom importlib import metadata\nimport torch.nn.functional\n",
        "if not True:\n    raise RuntimeError\n",
        "globals()['plugin'] = 1\n",
    ],
)
def test_what_may_work_is_not_called_broken(install, source):
    install("sea-x", source)
    assert looked_at().status == "not loaded"


def test_attributes_that_cannot_be_told(install):
    for number, source in enumerate(
        [
            "from os import *\n",
            "globals()['p'] = 1\n",
            "def __getattr__(name):\n    return name\n",
            "if 1:\n    p = 1\n",
        ]
    ):
        install(f"sea-x{number}", source, points={"p": f"sea_x{number}:p"})
    hub = PluginHub.discover()
    hub.inspect()
    assert {r.status for r in hub.records if r.distribution != CORE} == {"not loaded"}


def test_names_made_in_a_loop_and_in_branches(install):
    body = (
        'for n in ("a", "b"):\n        register(n, target="x:y")\n'
        '    if register:\n        register("c", target="x:y")\n    else:\n        register("c", target="x:z")'
    )
    install("sea-x", hook("sea_register_energies(register)", body))
    assert names_of(looked_at()) == {"energy": ["c"]}
    assert looked_at().status == "not loaded"


def test_a_source_too_deep_for_the_parser(install):
    install("sea-deep", "x = " + "(" * 5000 + ")" * 5000 + "\n")
    install("sea-fine", energy("fine"))
    hub = PluginHub.discover()
    hub.inspect()
    deep, fine = hub.records[-2:]
    assert deep.warnings or deep.status == "broken"
    assert names_of(fine) == {"energy": ["fine"]}


def test_a_look_at_a_file_plugin(tmp_path):
    (tmp_path / "mine.py").write_text("import no_such_module\n")
    hub = PluginHub.discover(plugins=[], files=[tmp_path / "mine.py"])
    hub.inspect()
    assert "No module named 'no_such_module'" in hub.records[-1].error
