"""Runs in a folder, from the command line: stopped by signals, shown, resumed, and changed behind their back."""

from __future__ import annotations

import errno
import json
import os
import shlex
import signal
import sys
from pathlib import Path

import pytest
from click.testing import Result

from sea_toolkit import api
from sea_toolkit.errors import SeaError
from sea_toolkit.events import Event
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.runs.result import Interrupted
from sea_toolkit.testing.runs import timeless
from sea_toolkit.testing.tiny import tiny_policy
from sea_toolkit.util import run_files
from tests.cli.commands import invoke
from tests.conftest import Install
from tests.models.folders import save_with_plugin

PLUGIN = """
import os
import sea_toolkit as sea

def mine(prompts, texts):
    return [float(len(text)) for text in texts]

@sea.hookimpl
def sea_register_energies(register):
    register("mine", mine, summary="short texts")

@sea.hookimpl
def sea_observe(event):
    if event.kind == "step" and event.step == 2 and "SEND" in os.environ:
        os.kill(os.getpid(), int(os.environ.pop("SEND")))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny policy and a one-file plugin that sends the process the signal in `SEND`."""
    return save_with_plugin(tmp_path_factory.mktemp("place"), PLUGIN)


def align(place: Path, out: Path, *more: str) -> Result:
    return invoke(
        "align", "the rain", "--model", place / "model", "--plugin", place / "mine.py", "--energy", "mine=1",
        "--sampler", "suffix-mh", "--steps", 4, "--chains", 2, "--max-new-tokens", 6, "--checkpoint-every", 50,
        "--out", out, *more,
    )  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_a_signal_keeps_what_there_is_and_the_run_goes_on(
    name: str, code: int, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, plugin = tmp_path / "my run", place / "mine.py"
    number = getattr(signal, name)
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip("this process ignores the signal, as it should")
    before = signal.getsignal(number)
    monkeypatch.setenv("SEND", str(int(number)))
    stopped = align(place, out, *(["--json"] if name == "SIGINT" else []))
    assert stopped.exit_code == code, stopped.output
    assert signal.getsignal(number) == before
    assert "interrupted" in stopped.stdout
    if name == "SIGINT":
        assert json.loads(stopped.stdout)["status"] == "interrupted"
    again = shlex.join(["sea-toolkit", "resume", str(out), "--plugin", str(plugin)])
    assert f"go on with: {again}" in stopped.stderr
    assert (out / run_files.CHECKPOINT).exists()
    assert [r["status"] for r in json.loads((out / run_files.RESULT).read_text())] == ["interrupted"]
    shown = json.loads(invoke("show", out, "--json").stdout)
    assert (shown["status"], shown["step"], shown["steps"], shown["prompts"]) == ("interrupted", 2, 4, ["the rain"])
    if name != "SIGTERM":
        return
    missing = invoke("resume", out)
    assert missing.exit_code == 1
    assert f"uses the plugin in {plugin}" in missing.stderr
    assert again in missing.stderr
    done = invoke("resume", out, "--plugin", plugin)
    assert done.exit_code == 0, done.output
    whole = json.loads(align(place, tmp_path / "whole", "--json").stdout)
    assert timeless([whole]) == timeless(json.loads((out / run_files.RESULT).read_text()))
    monkeypatch.setattr("sea_toolkit.runs.session.Session.run", None)  # nothing is run
    for words in (("resume", out), ("show", out)):
        shown_again = invoke(*words)
        assert shown_again.exit_code == 0, shown_again.output
        assert "aligned answer" in shown_again.stdout
        assert "(done)" in shown_again.stdout


def test_what_cannot_be_written_is_printed_all_the_same(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, write = tmp_path / "run", run_files.write_whole

    def full(path: Path, content: bytes) -> None:
        if path.name == run_files.RESULT:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(path, content)

    with monkeypatch.context() as disk:
        disk.setattr(run_files, "write_whole", full)
        ended = align(place, out, "--json")
    assert ended.exit_code == 1
    assert json.loads(ended.stdout)["status"] == "done"
    assert f"cannot write {out / run_files.RESULT}" in ended.stderr
    assert "go on with: sea-toolkit resume" in ended.stderr
    table = invoke("resume", out, "--plugin", place / "mine.py", "--json")
    assert table.exit_code == 0, table.output
    assert timeless([json.loads(table.stdout)]) == timeless([json.loads(ended.stdout)])
    ended = align(place, tmp_path / "other", "--csv", str(place / "mine.py" / "table.csv"))
    assert ended.exit_code == 1
    assert "aligned answer" in ended.stdout
    assert "cannot write" in ended.stderr
    over = invoke("align", "hi", "--recipe", place / "mine.py", "--csv", place / "mine.py")
    assert "would be written over what is read" in over.stderr


def test_show_of_a_run_that_was_killed_and_of_one_that_runs(place: Path, tmp_path: Path) -> None:
    assert invoke("show", tmp_path).exit_code == 1
    assert align(place, tmp_path / "run").exit_code == 0
    for name in (run_files.RESULT, run_files.ENDED):  # what a killed run has not written yet
        (tmp_path / "run" / name).unlink()
    text = invoke("show", tmp_path / "run").stdout
    assert "stopped, 4 of 4 steps saved" in text
    assert "best so far, energy " in text
    assert f"go on with: sea-toolkit resume {tmp_path / 'run'}" in text
    from sea_toolkit.runs.folder import held_folder

    with held_folder(tmp_path / "run"):
        text = invoke("show", tmp_path / "run").stdout
        assert f"running (process {os.getpid()} on " in text
        assert "go on with" not in text


def test_a_probe_and_its_card_are_not_overwritten(tmp_path: Path) -> None:
    for name in ("README.md", "README.safetensors"):
        (tmp_path / name).write_text("mine")
        result = invoke("train-probe", "no.csv", "--out", tmp_path / "README.safetensors")
        assert result.exit_code == 2
        assert f"{name} exists already" in result.stderr
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()


def test_changed_code_of_an_installed_plugin_is_noticed(tmp_path: Path, install: Install) -> None:
    file = install("sea-mine", PLUGIN)
    settings = {"sampler": "suffix-mh", "steps": 4, "max_new_tokens": 6, "energies": {}}
    policy, out = tiny_policy(), tmp_path / "run"

    def stop(event: Event) -> None:
        if event.kind == "step":
            raise KeyboardInterrupt

    recipe = {"energies": [{"name": "reference"}, {"name": "mine"}]}
    with pytest.raises(Interrupted):
        api.align(
            "a", policy=policy, hub=PluginHub.discover(), recipe=recipe, out=out, on_event=stop, on_interrupt="raise",
            **settings,
        )  # fmt: skip
    manifest = run_files.read_sealed(out / run_files.MANIFEST)
    (loaded,) = [row for row in manifest["loaded"] if row["plugin"] == "sea-mine:sea_mine"]
    assert loaded["version"] == "1.0"
    assert loaded["code"] == manifest["identity"]["plugins"]["sea-mine:mine"]["code"]
    file.write_text(file.read_text().replace("float(len(text))", "-9 * float(len(text))"))
    with pytest.raises(SeaError, match=r"plugins\.sea-mine:mine\.code: .* then, .* now"):
        api.resume(out, policy=policy, hub=PluginHub.discover())
