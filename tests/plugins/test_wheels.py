"""Real wheels, built and installed by pip: the example package beside everything that can go wrong with others."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sea_toolkit.registry.records import CORE
from tests.plugins.environments import PLUGINS, build
from tests.registry.hub_sources import BROKEN, BROKEN_AT_LOAD, energy

PACKAGES = {
    **{f"sea-{case.replace(' ', '-')}": BROKEN[case][0] for case in BROKEN},
    "sea-raises-in-a-hook": BROKEN_AT_LOAD["raises in a hook"][0],
    "sea-second-hook": BROKEN_AT_LOAD["second hook raises"][0],
    "sea-newer": energy("newer", head="sea_api = 2"),
    "sea-slow": energy("slow", head="import time\ntime.sleep(300)"),
    "sea-twin-a": energy("twin"),
    "sea-twin-b": energy("twin"),
    "sea-unmarked": "def sea_register_energies(register):\n    pass\n",
}
"""Distribution to the source of its module."""

FOUND_WITHOUT_IMPORT = {
    **{f"sea-{case.replace(' ', '-')}": ("broken", BROKEN[case][1]) for case in BROKEN},
    "sea-newer": ("refused", "sea_api 2"),
}


def write_package(folder: Path, name: str, source: str) -> None:
    """A project with one module; all twins call their entry point alike."""
    module = name.replace("-", "_")
    point = "twin" if name.startswith("sea-twin") else module
    folder.mkdir()
    (folder / f"{module}.py").write_text(source)
    (folder / "pyproject.toml").write_text(f'''\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "1.0"

[project.entry-points.sea_toolkit]
{point} = "{module}"

[tool.hatch.build.targets.wheel]
only-include = ["{module}.py"]
''')


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder with all packages installed."""
    root = tmp_path_factory.mktemp("wheels")
    shutil.copytree(PLUGINS / "sea-brevity", root / "sea-brevity")
    for name, source in PACKAGES.items():
        write_package(root / name, name, source)
    wheels = map(str, build([root / name for name in ("sea-brevity", *PACKAGES)], root / "dist"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run([*pip, "--target", str(root / "site"), *wheels], check=True, capture_output=True)
    return root / "site"


def python(site: Path, cache: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the packages installed."""
    path = os.pathsep.join([str(site), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path, "SEA_CACHE": str(cache), **variables}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=250)


def test_the_list_names_each_state_and_cause_and_imports_nothing(site, tmp_path):
    done = python(site, tmp_path, "-m", "sea_toolkit.cli", "list-plugins", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    content = json.loads(done.stdout)
    rows = {row["distribution"]: row for row in content["plugins"] if row["distribution"] != CORE}
    assert set(PACKAGES) | {"sea-brevity"} <= set(rows)
    for name, (status, cause) in FOUND_WITHOUT_IMPORT.items():
        assert rows[name]["status"] == status
        assert cause in rows[name]["error"]
    for name in set(PACKAGES) - set(FOUND_WITHOUT_IMPORT):
        assert (rows[name]["status"], rows[name]["checked"]) == ("not loaded", "static")
    assert rows["sea-brevity"]["provides"] == {"energy": ["brevity"]}
    assert "not marked" in rows["sea-unmarked"]["warnings"][0]
    assert content["clashes"] == [
        {"what": "energy", "name": "twin", "owners": ["sea-twin-a:twin", "sea-twin-b:twin"]},
        {"what": "entry point", "name": "twin", "owners": ["sea-twin-a:twin", "sea-twin-b:twin"]},
    ]


def test_describe_and_use_the_example_beside_broken_ones(site, tmp_path):
    others = ",".join(["sea-brevity", *(name for name in PACKAGES if name != "sea-slow")])
    code = (
        "import torch, sea_toolkit as sea\n"
        "from sea_toolkit.cli import main\n"
        "main(['describe', 'brevity', '--json'], standalone_mode=False)\n"
        "brevity = sea.PluginHub.discover().get('energy', 'brevity').build({'per_token': 0.5})\n"
        "ids = torch.tensor([[[3, 3, 0, 0], [3, 3, 3, 0]]])\n"
        "print(brevity(sea.SoftResponse.from_ids(ids, [0])).tolist())"
    )
    done = python(site, tmp_path, "-c", code, SEA_PLUGINS=others)
    assert done.returncode == 0, done.stderr
    described, energies = done.stdout.rsplit("\n", 2)[:2]
    (entry,) = json.loads(described)["items"]
    assert [option["name"] for option in entry["options"]] == ["per_token", "free"]
    assert energies == "[[1.5, 2.0]]"


def test_a_load_finds_the_rest_and_is_remembered(site, tmp_path):
    others = ",".join(["sea-brevity", *(name for name in PACKAGES if name != "sea-slow")])
    list_json = ["-m", "sea_toolkit.cli", "list-plugins", "--json"]
    loaded = json.loads(python(site, tmp_path, *list_json, "--load", SEA_PLUGINS=others).stdout)
    states = {row["distribution"]: row["status"] for row in loaded["plugins"]}
    healthy = ("sea-brevity", "sea-twin-a", "sea-twin-b", "sea-unmarked")
    assert {states[name] for name in healthy} == {"ok"}
    assert states["sea-newer"] == "refused"
    assert {states[name] for name in PACKAGES if name not in (*healthy, "sea-newer", "sea-slow")} == {"broken"}
    causes = {row["distribution"]: row["error"] for row in loaded["plugins"]}
    assert "ZeroDivisionError" in causes["sea-raises-in-a-hook"]
    assert "OSError: no disk" in causes["sea-second-hook"]
    for name, (_, cause) in FOUND_WITHOUT_IMPORT.items():
        assert cause in causes[name]
    again = json.loads(python(site, tmp_path, *list_json).stdout)
    row = next(row for row in again["plugins"] if row["distribution"] == "sea-raises-in-a-hook")
    assert (row["status"], row["error"]) == ("broken", causes["sea-raises-in-a-hook"])


def test_a_clash_between_wheels(site, tmp_path):
    variables = {"SEA_PLUGINS": "sea-twin-a,sea-twin-b"}
    code = "import sea_toolkit as sea\nsea.PluginHub.discover().get('energy', %r)"
    done = python(site, tmp_path, "-c", code % "twin", **variables)
    assert "RecipeError: energy 'twin' is claimed by sea-twin-a:twin" in done.stderr
    assert python(site, tmp_path, "-c", code % "sea-twin-b:twin", **variables).returncode == 0
