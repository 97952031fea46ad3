"""The packages of `plugins/`: built as wheels, installed into a fresh environment, and used there."""

from __future__ import annotations

import json
import tomllib

import pytest

from sea_toolkit.registry.records import CORE
from tests.plugins.environments import PLUGINS, ROOT, Environment, build, copy_project

PROVIDES = {
    "sea-brevity": {"energy": ["brevity"]},
    "sea-entmax": {"relaxation": ["normmax"]},
    "sea-minilm": {"energy": ["minilm"]},
    "sea-tempering": {"sampler": ["tempering"]},
    "sea-tensorboard": {"command": ["tensorboard"]},
    "sea-vader": {"energy": ["vader"]},
}
"""What each package registers."""

NAMES = sorted(path.name for path in PLUGINS.iterdir() if (path / "pyproject.toml").is_file())


def project(name: str) -> dict:
    return tomllib.loads((PLUGINS / name / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def foreign(name: str) -> list[str]:
    """What a package needs beside sea_toolkit."""
    return [need for need in project(name)["dependencies"] if not need.startswith(CORE)]


ALONE = [name for name in NAMES if not foreign(name)]
"""Packages that need nothing from the index."""


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> Environment:
    """All packages installed, without what they depend on."""
    root = tmp_path_factory.mktemp("packages")
    made = Environment(root / "env")
    made.install(build([copy_project(name, root) for name in NAMES], root / "dist"))
    return made


@pytest.fixture(scope="module")
def complete(environment) -> Environment:
    """The same with their dependencies."""
    environment.fetch(sorted({need for name in NAMES for need in foreign(name)}))
    return environment


def test_each_package_is_complete():
    assert set(NAMES) == set(PROVIDES)
    page = (ROOT / "docs" / "packages.md").read_text(encoding="utf-8")
    for name in NAMES:
        folder, facts = PLUGINS / name, project(name)
        assert facts["name"] == name
        assert (folder / facts["readme"]).is_file()
        assert (folder / "LICENSE").is_file()
        assert list((folder / "tests").glob("test_*.py"))
        assert f"pip install {name}" in (folder / "README.md").read_text(encoding="utf-8")
        assert f"`{name}`" in page, f"docs/packages.md does not know {name}"
        for item in (item for items in PROVIDES[name].values() for item in items):
            assert f"`{item}`" in page


def test_the_list_knows_them_without_their_dependencies(environment):
    done = environment.sea("list-plugins", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = {r["distribution"]: r for r in json.loads(done.stdout)["plugins"] if r["distribution"] in NAMES}
    assert {name: row["provides"] for name, row in rows.items()} == PROVIDES
    assert {row["status"] for row in rows.values()} == {"not loaded"}
    assert not [row["warnings"] for row in rows.values() if row["warnings"]]


def test_the_tests_of_those_that_need_nothing_more(environment):
    done = environment.pytest(*(PLUGINS / name / "tests" for name in ALONE))
    assert done.returncode == 0, done.stdout


def test_the_tests_of_the_others(complete):
    done = complete.pytest(*(PLUGINS / name / "tests" for name in NAMES if name not in ALONE))
    assert done.returncode == 0, done.stdout


def test_they_load_none_clashes_and_a_run_uses_three_of_them(complete, tmp_path):
    """An energy, a sampler and an observer of three distributions, from the command line."""
    from sea_toolkit.testing import tiny_model, tiny_tokenizer

    tiny_model().save_pretrained(tmp_path / "model")
    tiny_tokenizer().save_pretrained(tmp_path / "model")
    flags = ["--model", str(tmp_path / "model"), "--template", "plain", "--steps", "3", "--chains", "2", "--json"]
    flags += ["--max-new-tokens", "8", "--energy", "vader=4", "--sampler", "tempering"]
    commands = [["list-plugins", "--load", "--json"], ["align", "the rain", *flags]]
    listed, aligned = complete.sea_each(*commands, SEA_TENSORBOARD=str(tmp_path / "logs"))
    content, result = json.loads(listed), json.loads(aligned)
    assert {r["status"] for r in content["plugins"] if r["distribution"] in NAMES} == {"ok"}
    assert content["clashes"] == []
    assert (result["sampler"], set(result["terms"])) == ("tempering", {"reference", "vader"})
    assert result["notes"] == []
    assert list((tmp_path / "logs").glob("*/events.out.tfevents.*"))
