"""`new-plugin`: what it writes and what it refuses. What the packages do is tested in tests/plugins."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sea_toolkit.errors import RecipeError
from sea_toolkit.registry import scaffold
from sea_toolkit.registry.scaffold import EXAMPLES
from tests.cli.commands import invoke


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run the command in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEA_PLUGINS", "")
    return lambda *arguments: invoke("new-plugin", *arguments)


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_package_is_complete_and_nothing_is_left_to_fill_in(run, tmp_path, kind):
    done = run("short-answers", "--kind", kind)
    assert done.exit_code == 0, done.output
    folder = tmp_path / "sea-short-answers"
    source = "src/sea_short_answers"
    probe = {f"{source}/probe.safetensors", f"{source}/probe.md"} if kind == "model" else set()
    assert files_in(folder) == probe | {
        ".github/workflows/tests.yml", ".gitignore", "LICENSE", "README.md", "pyproject.toml",
        f"{source}/__init__.py", f"{source}/{kind}.py", f"{source}/py.typed", f"tests/test_{kind}.py",
    }  # fmt: skip
    assert {line.strip() for line in done.output.splitlines()} >= files_in(folder)
    assert list(tmp_path.iterdir()) == [folder]
    for path in files_in(folder) - probe:
        text = (folder / path).read_text(encoding="utf-8")
        assert "{{" not in text.replace("${{ matrix.python }}", ""), path
    assert str(datetime.now(UTC).year) in (folder / "LICENSE").read_text(encoding="utf-8")
    assert "${{ matrix.python }}" in (folder / ".github/workflows/tests.yml").read_text(encoding="utf-8")


def test_a_leading_sea_is_not_said_twice(run, tmp_path):
    assert run("sea-calm", "--kind", "energy", "--out", "deep/down").exit_code == 0
    assert (tmp_path / "deep" / "down" / "sea-calm" / "src" / "sea_calm").is_dir()


@pytest.mark.parametrize(
    ("name", "hint"),
    [("Short_Answers", "short-answers"), ("2fast", "fast"), ("a--b", "a-b"), ("a.b", "a-b"), ("", None), ("é", None),
     ("../up", "up"), ("a" * 31, None), ("sea-", None), ("short ", "short")],
)  # fmt: skip
def test_a_bad_name_is_refused_with_a_better_one(run, tmp_path, name, hint):
    done = run("--kind", "energy", "--", name)
    assert done.exit_code == 2
    assert f"{name!r} is no name for a plugin" in done.output
    assert (f"try: {hint}\n" in done.output) if hint else ("try:" not in done.output)
    assert not list(tmp_path.iterdir())


def test_a_built_in_name_is_refused_in_its_own_kind_only(run, tmp_path):
    done = run("length", "--kind", "energy")
    assert done.exit_code == 2
    assert "energy 'length' is built-in" in done.output
    assert run("sea-cosine", "--kind", "schedule").exit_code == 2
    for taken in ("length", "sentiment"):  # a built-in energy, a built-in reward model
        assert f"reward '{taken}' is built-in" in run(taken, "--kind", "reward").output
    assert run("sea-toolkit", "--kind", "energy").exit_code == 2
    assert not list(tmp_path.iterdir())
    assert run("length", "--kind", "schedule").exit_code == 0


def test_a_folder_that_exists_keeps_all_it_has(run, tmp_path):
    assert run("calm", "--kind", "energy").exit_code == 0
    mine = tmp_path / "sea-calm" / "src" / "sea_calm" / "energy.py"
    mine.write_text("# days of work\n")
    done = run("calm", "--kind", "sampler")
    assert done.exit_code == 2
    assert "exists already; nothing was changed" in done.output
    assert mine.read_text() == "# days of work\n"
    assert not (mine.parent / "sampler.py").exists()


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_an_empty_folder_a_file_or_a_dead_link_is_left_alone_too(run, tmp_path, make):
    make(tmp_path / "sea-calm")
    before = (tmp_path / "sea-calm").lstat()
    assert run("calm", "--kind", "energy").exit_code == 2
    assert (tmp_path / "sea-calm").lstat().st_ino == before.st_ino


def test_an_out_that_is_a_file_is_an_error(run, tmp_path):
    (tmp_path / "file").touch()
    done = run("calm", "--kind", "energy", "--out", "file")
    assert done.exit_code == 2
    assert "cannot write to file" in done.output


def test_a_failure_half_way_leaves_nothing(tmp_path):
    with pytest.raises(RecipeError, match="cannot write"):
        scaffold.write_package({"a": b"1", "a/b": b"2"}, tmp_path / "sea-calm")  # a file cannot hold another
    assert not list(tmp_path.iterdir())


def test_it_asks_nothing_and_imports_no_torch(tmp_path):
    code = (
        "import sys\nfrom sea_toolkit.cli import main\n"
        "main(['new-plugin', 'calm', '--kind', 'energy'], standalone_mode=False)\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_every_template_is_used():
    names = {kind: scaffold.Names("x", kind) for kind in EXAMPLES}
    used = {scaffold._filled(t, names[kind].words) for kind in EXAMPLES for t in scaffold.FILES}
    used |= {f"{kind}/readme.md.in" for kind in EXAMPLES}
    assert files_in(scaffold.TEMPLATES) == used
