"""The group: lazy commands, commands of plugins, options shared by all, and how errors look."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

import sea_toolkit
from sea_toolkit.cli import group, interrupt, main
from sea_toolkit.cli.command import Command
from sea_toolkit.cli.render import live
from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.events import Event
from tests.cli.commands import invoke
from tests.registry.hub_sources import energy


def command(name: str, says: str = "", body: str = "") -> str:
    """A plugin that adds a command."""
    return f"""
import click
import sea_toolkit as sea

@sea.hookimpl
def sea_register_commands(cli):
    {body or "pass"}
    @cli.command("{name}")
    def f():
        click.echo("{says}")
"""


def test_version_and_help():
    assert invoke("--version").stdout == f"sea-toolkit, version {sea_toolkit.__version__}\n"
    shown = invoke("--help").stdout
    for name in group.COMMANDS:
        assert name in shown
    assert invoke().exit_code == 2


def test_help_imports_no_command():
    code = (
        "import sys; from sea_toolkit.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "from sea_toolkit.cli.group import COMMANDS\n"
        "assert not {target.partition(':')[0] for target, _ in COMMANDS.values()} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("name", group.COMMANDS)
def test_the_line_in_the_help_is_the_commands_own(name):
    built_in = main.get_command(click.Context(main), name)
    assert built_in.help.splitlines()[0] == group.COMMANDS[name][1]
    assert built_in.name == name


def test_a_command_of_a_plugin(install):
    install("sea-cmd", command("greet", "hello"))
    assert invoke("greet").stdout == "hello\n"
    assert invoke("sea-cmd:greet").stdout == "hello\n"
    assert invoke("greet").stdout == "hello\n", "each invocation has a hub of its own"


def test_built_in_commands_import_no_plugin_and_cannot_be_replaced(install):
    install("sea-cmd", command("describe", "mine now"))
    assert "Half a cosine" in invoke("describe", "cosine").stdout
    assert "sea_cmd" not in sys.modules
    assert invoke("sea-cmd:describe").stdout == "mine now\n"


def test_a_plugin_cannot_see_the_commands_of_others(install):
    install("sea-aa", command("greet", "aa"))
    install("sea-bb", command("other", "bb", "cli.commands.clear(); cli.add_command(click.Group('align'), 'align')"))
    assert invoke("greet").stdout == "aa\n"
    assert invoke("other").stdout == "bb\n"
    assert "Usage" in invoke("align", "--help").stdout


def test_a_clash_of_commands_is_an_error_at_use(install):
    install("sea-aa", command("greet", "aa"))
    install("sea-bb", command("greet", "bb"))
    result = invoke("greet", "--whatever", "x")
    assert result.exit_code == 1
    assert "claimed by plugin 'sea_aa' of sea-aa 1.0 and plugin 'sea_bb' of sea-bb 1.0" in result.stderr
    assert "write sea-aa:greet or sea-bb:greet" in result.stderr
    assert invoke("sea-bb:greet").stdout == "bb\n"


def test_a_broken_command_hook_hurts_no_other(install):
    install("sea-aa", energy("aa") + command("a", "a", "raise SystemExit(7)").replace("import sea_toolkit as sea", ""))
    install("sea-bb", command("greet", "bb"))
    assert invoke("greet").stdout == "bb\n"
    result = invoke("gret")
    assert result.exit_code == 2
    assert "there is no command 'gret'" in result.stderr
    assert "plugin 'sea_aa' of sea-aa 1.0 is broken: in sea_register_commands: SystemExit: 7" in result.stderr
    assert invoke("--strict-plugins", "greet").exit_code == 1


def test_an_unknown_command():
    result = invoke("descibe")
    assert result.exit_code == 2
    assert "there is no command 'descibe'\ntry: did you mean 'describe'" in result.stderr


def test_a_plugin_file_adds_a_command(tmp_path, install):
    (tmp_path / "mine.py").write_text(command("greet", "from a file"))
    assert invoke("--plugin", str(tmp_path / "mine.py"), "greet").stdout == "from a file\n"
    missing = invoke("--plugin", str(tmp_path / "nowhere.py"), "greet")
    assert missing.exit_code == 2
    assert "nowhere.py' cannot be read" in missing.stderr


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (RecipeError("got this", expected="that", hint="so"), 2, "error: got this\nexpected: that\ntry: so\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_errors_are_messages(monkeypatch, error, code, message):
    @click.command()
    def fails():
        raise error

    monkeypatch.setitem(group.COMMANDS, "fails", ("tests.cli.test_group:fails", ""))
    monkeypatch.setattr(sys.modules[__name__], "fails", fails, raising=False)
    result = invoke("fails")
    assert result.exit_code == code
    assert result.stderr == message
    assert result.stdout == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
@pytest.mark.parametrize("command", [["list-plugins", "--json"], ["list-plugins"]])
def test_a_full_disk_behind_the_output_is_a_message(command):
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "sea_toolkit.cli", *command], stdout=full, stderr=subprocess.PIPE)
    assert done.stderr.decode() == "error: cannot write the output: No space left on device\n"
    assert done.returncode == 1


def test_a_misspelt_command_of_a_plugin_or_of_a_group_is_recognized(install):
    install("sea-cmd", command("welcome", "hello"))
    assert "did you mean 'welcome'?" in invoke("welcom").stderr
    assert "there is no command 'lst'\ntry: did you mean 'list'?" in invoke("models", "lst").stderr


STRUCK = [ImportError("cannot import name 'LlamaConfig'"), ModelError("it cannot be loaded"), SystemExit(1), None]


@pytest.mark.parametrize("raised", STRUCK)
def test_ctrl_c_is_an_interruption_whatever_the_code_makes_of_it(monkeypatch, raised):
    @click.command(cls=Command)
    def struck():
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt:
            if raised is not None:
                raise raised from None

    monkeypatch.setitem(group.COMMANDS, "struck", ("tests.cli.test_group:struck", ""))
    monkeypatch.setattr(sys.modules[__name__], "struck", struck, raising=False)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        result = invoke("struck")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


def test_a_run_stops_at_its_next_step_if_a_ctrl_c_was_swallowed():
    with interrupt.noticed() as pressed, live("") as shown:
        event = Event(
            kind="step", run="", step=1, steps=2, progress=0.5, energy=[1.0], samples=1.0, texts=[""], metrics={}
        )
        shown.on_event(event)
        pressed.set()
        with pytest.raises(KeyboardInterrupt):
            shown.on_event(event)
        shown.on_event(dataclasses.replace(event, kind="end"))
