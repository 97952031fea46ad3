"""How a command ends when a plugin fails: the best so far, the error, exit code 1; the traceback for those who ask."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.commands import invoke
from tests.models.folders import save_policy

PLUGIN = '''
import click
import sea_toolkit as sea

CALLS = []


class Late(sea.Energy):
    """Fails at its third call."""

    def bind(self, context):
        CALLS.clear()

        def score(prompts, texts):
            CALLS.append(len(texts))
            if len(CALLS) == 3:
                {}["score"]
            return [float(len(t)) for t in texts]

        return score


@sea.hookimpl
def sea_register_energies(register):
    register("late", Late)


@sea.hookimpl
def sea_register_commands(cli):
    @cli.command("works")
    @click.argument("way")
    def works(way):
        """Ends in one way or another."""
        if way == "raises":
            raise KeyError("score")
        if way == "says":
            raise SystemExit("no licence")
        if way == "code":
            raise SystemExit(3)
        if way == "usage":
            raise click.UsageError("not like this")
        if way == "exit":
            click.get_current_context().exit(4)

    @cli.command("asks")
    @click.argument("x", callback=lambda ctx, parameter, value: 1 / 0)
    def asks(x):
        """Fails before it runs."""
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny policy on disk, and a plugin."""
    path = tmp_path_factory.mktemp("failures")
    save_policy(path / "tiny")
    (path / "mine.py").write_text(PLUGIN)
    (path / "broken.py").write_text("import json\n\njson.loads('{')\n")
    return path


def run(folder: Path, *arguments: str, file: str = "mine.py", **environment: str) -> Result:
    return invoke("--plugin", folder / file, *arguments, environment=environment)


def align(folder: Path, *more: str) -> Result:
    short = ["--model", str(folder / "tiny"), "--max-new-tokens", "6", "--sampler", "best-of-n", "--chains", "2"]
    return run(folder, "align", "hi", *short, "--budget", "6", "--energy", "late", *more)


def test_the_best_so_far_is_printed_then_the_error(folder, tmp_path):
    shown = align(folder, "--out", str(tmp_path / "run"))
    assert shown.exit_code == 1
    assert "failed" in shown.stdout
    assert "aligned answer" in shown.stdout
    where = f"({folder / 'mine.py'}, line 17)"
    assert "energy 'late' (plugin 'mine' of mine.py sha256:" in shown.stderr
    assert f"failed in step 2: KeyError: 'score' {where}" in " ".join(shown.stderr.split())
    assert f"sea-toolkit resume {tmp_path / 'run'}" in shown.stderr
    assert "Traceback" not in shown.stderr
    assert json.loads((tmp_path / "run" / "result.json").read_text())[0]["status"] == "failed"
    again = run(folder, "resume", str(tmp_path / "run"), "--json")
    assert (again.exit_code, json.loads(again.stdout)["status"]) == (0, "done")


def test_with_json_the_best_so_far_is_json(folder):
    printed = align(folder, "--json", "--traceback")
    assert printed.exit_code == 1
    assert json.loads(printed.stdout)["status"] == "failed"
    assert "KeyError: 'score'\n" in printed.stderr
    assert "Traceback (most recent call last)" in printed.stderr
    assert '{}["score"]' in printed.stderr


@pytest.mark.parametrize("where", ["before", "after", "environment"])
def test_the_traceback_of_a_plugin_that_cannot_be_loaded_is_shown_on_request(where, folder):
    arguments = (
        ["--traceback"] * (where == "before") + ["list-plugins", "--load"] + ["--traceback"] * (where == "after")
    )
    shown = run(folder, *arguments, file="broken.py", SEA_TRACEBACK="1" if where == "environment" else "")
    assert "line 3" in shown.output
    assert "in raw_decode" in shown.stderr
    assert "json.loads('{')" in shown.stderr
    plain = run(folder, "list-plugins", "--load", file="broken.py")
    assert "raw_decode" not in plain.stderr


@pytest.mark.parametrize(("way", "code"), [("raises", 1), ("says", 1), ("code", 3), ("usage", 2), ("exit", 4), ("", 0)])
def test_a_command_of_a_plugin_that_fails_names_the_plugin(way, code, folder):
    ended = run(folder, "works", way)
    assert ended.exit_code == code
    named = "plugin 'mine' of mine.py" in ended.stderr and "failed in its command 'works'" in ended.stderr
    assert named == (way in ("raises", "says"))
    assert ("KeyError: 'score'" in ended.stderr) == (way == "raises")
    assert "Traceback" not in ended.stderr


def test_a_command_that_fails_before_it_runs_names_the_plugin(folder):
    ended = run(folder, "asks", "1")
    assert (ended.exit_code, "failed in its command 'asks': ZeroDivisionError" in ended.stderr) == (1, True)
