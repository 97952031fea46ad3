"""`requirements.lock` has what `pyproject.toml` asks for, in the versions of `constraints.txt`, each with hashes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REMADE = "`nox -s lock` writes it"


def pins(file: str) -> dict[str, set[str]]:
    """Package to its versions; a lock may have one for each of several Pythons."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


LOCKED = pins("requirements.lock")


@pytest.mark.parametrize("part", ["base", *PROJECT["optional-dependencies"]])
def test_what_is_asked_for_is_locked_in_a_version_that_will_do(part):
    asked = PROJECT["dependencies"] if part == "base" else PROJECT["optional-dependencies"][part]
    wanted = [need for need in map(Requirement, asked) if need.name != PROJECT["name"]]
    assert wanted or part == "all"
    for need in wanted:
        versions = LOCKED.get(canonicalize_name(need.name), set())
        assert versions, f"{need.name} is not locked; {REMADE}"
        assert [v for v in versions if v not in need.specifier] == [], f"{need}; {REMADE}"


def test_the_versions_are_those_that_the_sessions_install():
    tested = pins("constraints.txt")
    both = LOCKED.keys() & tested.keys()
    assert len(both) > 25
    assert {name: LOCKED[name] for name in both} == {name: tested[name] for name in both}, REMADE


def test_every_version_has_hashes():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    bare = [
        entry.split()[0] for entry in re.findall(r"^\S+==.*(?:\n .*)*", text, re.MULTILINE) if "sha256:" not in entry
    ]
    assert bare == []
