"""CONTRIBUTING shows the house as it is: its rooms in the order of the layers, and who is still asked by `getattr`."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import LONG

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sea_toolkit"
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def asked(source: str) -> int:
    """How often a source calls `getattr` or `hasattr`."""
    calls = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return sum(isinstance(function, ast.Name) and function.id in ("getattr", "hasattr") for function in calls)


def declared(text: str) -> Counter[str]:
    """File → number of calls, by the table in CONTRIBUTING."""
    table = text.split("<!-- asked -->", 1)[1].split("<!-- end -->", 1)[0]
    counts: Counter[str] = Counter()
    for path, number in re.findall(r"`(\w[\w/]*\.py)` (\d+)", table):
        counts[path] += int(number)
    return counts


def layers() -> list[list[str]]:
    """The rooms from the top down, as `lint-imports` keeps them."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (c for c in config["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    return [sorted(re.findall(r"\w+", layer)) for layer in contract["layers"]]


def rooms(text: str) -> list[list[str]]:
    """The rooms from the top down, by the table in CONTRIBUTING."""
    table = text.split("| room | what it is for |\n", 1)[1].split("\n\n", 1)[0]
    return [sorted(re.findall(r"`(\w+)`", line.split("|")[1])) for line in table.splitlines()[1:]]


def test_the_rooms_stand_in_the_order_of_the_layers():
    assert rooms(TEXT) == layers()


def test_every_file_that_is_named_exists():
    paths = {p for p in re.findall(r"`([\w/]+(?:\.py|/))`", TEXT) if not re.search(r"\b[A-Z]+\.py", p)}
    assert len(paths) > 10
    assert [p for p in sorted(paths) if not (ROOT / p).exists() and not (PACKAGE / p).exists()] == []


def test_every_long_file_of_the_suite_exists():
    assert [file for file in LONG if not (ROOT / "tests" / file).is_file()] == []


def test_whoever_is_asked_by_getattr_is_written_down():
    files = {str(p.relative_to(PACKAGE)): asked(p.read_text(encoding="utf-8")) for p in PACKAGE.rglob("*.py")}
    found, written = {path: n for path, n in files.items() if n}, dict(declared(TEXT))
    changed = {p: (found.get(p, 0), written.get(p, 0)) for p in found | written if found.get(p) != written.get(p)}
    assert changed == {}, "calls in the code and in the table of CONTRIBUTING; better: declare what is asked for"


class TestTheChecksThemselves:
    @pytest.mark.parametrize(
        ("source", "calls"),
        [
            ("getattr(x, 'a', None)", 1),
            ("y = [hasattr(x, n) for n in getattr(x, 'b')]", 2),
            ("def __getattr__(name): ...", 0),
            ("'getattr(x)'", 0),
        ],
    )
    def test_calls_are_counted_by_the_syntax(self, source, calls):
        assert asked(source) == calls

    def test_a_file_may_stand_in_two_rows(self):
        text = "<!-- asked -->| a | `lm/x.py` 2, `y.py` 1 |\n| b | `lm/x.py` 1 |<!-- end --> `z.py` 4"
        assert declared(text) == {"lm/x.py": 3, "y.py": 1}

    def test_a_room_out_of_its_place_is_found(self):
        lines = TEXT.splitlines()
        i = next(i for i, line in enumerate(lines) if line.startswith("| `core`"))
        lines[i], lines[i + 1] = lines[i + 1], lines[i]
        assert rooms("\n".join(lines)) != layers()


def test_the_least_python_is_the_same_wherever_it_is_declared() -> None:
    """Tools, plugins, the scaffold, its workflow and the readme follow `requires-python`."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    floor = pyproject["project"]["requires-python"].removeprefix(">=")
    assert pyproject["tool"]["mypy"]["python_version"] == floor
    assert pyproject["tool"]["ruff"]["target-version"] == "py" + floor.replace(".", "")
    templates = PACKAGE / "registry" / "templates" / "common"
    for file in [*ROOT.glob("plugins/*/pyproject.toml"), templates / "pyproject.toml.in"]:
        assert f'requires-python = ">={floor}"' in file.read_text(encoding="utf-8"), file
    assert f'["{floor}", ' in (templates / "workflow.yml.in").read_text(encoding="utf-8")
    assert f"Python ({floor} or newer)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_extra_all_has_every_extra_and_none_is_for_this_repository_alone() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    (everything,) = extras.pop("all")
    assert everything == f"sea-alignment[{','.join(sorted(extras))}]"
    assert not {"test", "lint", "docs"} & set(extras)


def test_no_line_installs_the_stranger_of_the_same_name() -> None:
    """On the package index, `sea-toolkit` is another program; hints, templates and requirements name this one."""
    stranger = re.compile(
        r"sea[-_]toolkit(\[[a-z]|\s*[<>=~!]=?\s*\d)|(install|add|uninstall|-U|--upgrade|--no-deps)\s+['\"]?sea[-_]toolkit\b"
    )
    assert stranger.search("pip install 'sea-" + "toolkit[plots]'")
    assert stranger.search('"sea-' + 'toolkit>=0.1,<1"')
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    kinds = {".py", ".in", ".md", ".toml", ".txt", ".yml", ".cfg"}
    found = [
        f"{name}: {line}"
        for name in tracked.split("\0")
        if Path(name).suffix in kinds
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
        if stranger.search(line)
    ]
    assert not found
