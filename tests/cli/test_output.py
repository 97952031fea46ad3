"""Standard output is for results: whatever plugins print, wherever it leads, in whatever encoding."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from tests.cli.commands import invoke
from tests.cli.processes import sea_toolkit, write_chatty

ALIGN = ("align", "the rain", "--max-new-tokens", "4", "--chains", "1", "--sampler", "best-of-n", "--budget", "1")
OCCASIONS = ("import", "hook", "constructor", "bind", "call", "observer", "thread", "atexit")
WAYS = ("print", "stdout", "__stdout__", "descriptor", "subprocess", "library")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a tiny policy; what a run imports is imported, so that forks need not."""
    path = tmp_path_factory.mktemp("tiny")
    tiny_model("llama").save_pretrained(path)
    tiny_tokenizer().save_pretrained(path)
    ran = invoke(*ALIGN, "--energy", "length,target=3", "--model", path)
    assert ran.exit_code == 0, ran.output
    return str(path)


def test_a_run_with_a_plugin_that_prints_everywhere_prints_its_json_alone(tmp_path: Path, tiny: str) -> None:
    chatty = str(write_chatty(tmp_path))
    command = [sys.executable, "-m", "sea_toolkit", *ALIGN, "--model", tiny, "--plugin", chatty, "--json"]
    term = ["--energy", "chatty"]
    done = subprocess.run([*command, *term], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["prompt"] == "the rain"
    asked = sea_toolkit(["--plugin", chatty, "nosuch"])  # which is looked for in plugins
    assert (asked.code, asked.stdout) == (2, b"")
    assert b"chat: descriptor atexit" in asked.stderr
    for occasion in OCCASIONS:
        for way in WAYS:
            assert f"chat: {way} {occasion}" in done.stderr, "what plugins print is not lost"


@pytest.mark.parametrize(
    "command", [["list-plugins", "--load", "--json"], ["describe", "chatty", "--json"], ["models", "list", "--json"]]
)
def test_each_command_with_json_prints_it_alone(tmp_path: Path, command: list[str]) -> None:
    done = sea_toolkit(["--plugin", str(write_chatty(tmp_path)), *command])
    assert done.code == 0, done.stderr
    json.loads(done.stdout)
    assert b"chat: descriptor import" in done.stderr


ENCODINGS = ("cp1252", "ascii", "cp932", "utf-16")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_result_can_be_written_in_every_encoding(tiny: str, encoding: str) -> None:
    prompt = "the rain − 雨 🌧 é"
    align = ("align", prompt, *ALIGN[2:], "--energy", "length,target=3", "--model", tiny)
    others = [["describe", "length"], ["list-plugins"], ["models", "list"], ["compare", "--help"]]
    for command in (*(others if encoding == "ascii" else others[:1]), align):
        done = sea_toolkit(command, encoding=encoding)
        assert done.code == 0, done.stderr
        text = done.stdout.decode(encoding)
        assert done.stderr == b""
    assert "total energy" in text
    shown = ("−" if encoding in ("utf-16", "cp932") else "-") + " pi per token"
    assert "log " in text or shown in text
    done = sea_toolkit([*align, "--json"], encoding=encoding)
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout.decode(encoding))["prompt"] == prompt
    assert done.stdout.decode(encoding).isascii()


def test_with_streams_that_are_closed_results_still_reach_the_open_ones(tiny: str, tmp_path: Path) -> None:
    chatty = str(write_chatty(tmp_path))
    command = ["--plugin", chatty, "list-plugins", "--load", "--json"]
    json.loads(sea_toolkit(command, closed=[2]).stdout)
    json.loads(sea_toolkit(command, closed=[0, 2]).stdout)
    for closed in ([1], [0, 1]):
        done = sea_toolkit(command, closed=closed)
        assert (done.code, done.stdout) == (1, b"")
        assert b"error: cannot write the output: standard output is closed" in done.stderr
        assert b"Traceback" not in done.stderr
    assert sea_toolkit(command, closed=[0, 1, 2]).code == 1


HOSTILE = "\x1b]0;OWNED\x07\x1b[2J\x9b31m\x08\r\u202e\u2066\x7f"
SHOWN = r"\x1b]0;OWNED\x07\x1b[2J\x9b31m\x08\r\u202e\u2066\x7f"
OF_PROGRESS = re.compile(r"\r?\x1b\[(?:\?25[lh]|[12]?[KA])\r?")
"""What the progress line tells a terminal: hide the cursor, erase the line, up."""


def obeyed(text: str) -> set[str]:
    """The characters in it that a terminal obeys, but for line ends."""
    return {c for c in text.replace("\r\n", "\n") if c in HOSTILE and c not in "OWNED]0;[2J31m"}


@pytest.fixture
def hostile(tmp_path: Path) -> str:
    """A plugin file whose every text wants to command the terminal, and to be markup."""
    file = tmp_path / "hostile.py"
    text = f"[/b] [link=x]marks[/link] between [INST] and $\\frac$ :smile: {HOSTILE}"
    file.write_text(f'''
import sea_toolkit as sea

class Marks(sea.NamedModel):
    """{ascii(text)[1:-1]}"""
    role = "reward"
    license = {text!a}
    megabytes = 1.0
    def find(self): raise sea.ModelError({text!a})
    def pull(self, progress): pass
    def remove(self): return False

def f(prompts, texts, *, factor: str = {text!a}):
    """{ascii(text)[1:-1]}

    Args:
        factor: {ascii(text)[1:-1]}
    """
    return [0.0 for _ in texts]

@sea.hookimpl
def sea_register_energies(register):
    register("marks", f, summary={text!a})

@sea.hookimpl
def sea_register_models(register):
    register("marks-model", Marks, summary={text!a})
''')
    return str(file)


def test_no_text_of_others_commands_the_terminal(tiny: str, hostile: str) -> None:
    label = f"energies.1.label={json.dumps('[/b] [x] ' + HOSTILE)}"
    align = [*ALIGN, "--model", tiny, "--draft", "ok " + HOSTILE, "--energy", "marks", "--set", label]
    align[1], align[3] = f"[/i] {HOSTILE}", "60"
    no_color, dumb = {"NO_COLOR": "1"}, {"TERM": "dumb", "NO_COLOR": ""}
    for environment, command, code in (
        (no_color, ["list-plugins"], 0), (dumb, ["list-plugins", "--load"], 0), (no_color, ["describe", "marks"], 0),
        (no_color, ["models", "list"], 1), (dumb, ["models", "pull", HOSTILE], 1), (dumb, ["describe", HOSTILE], 2),
        (no_color, [HOSTILE], 2), (dumb, ["describe", "--" + HOSTILE], 2), (no_color, ["resume", "/no/" + HOSTILE], 1),
        (dumb, ["align", "x", "--recipe", "/no/" + HOSTILE], 2), (no_color, align, 0), (dumb, align, 0),
    ):  # fmt: skip
        done = sea_toolkit(["--plugin", hostile, *command], terminal=100, environment=environment)
        text = done.stdout.decode()
        assert done.code == code, text
        assert not obeyed(OF_PROGRESS.sub("", text) if environment is no_color else text), (command, text)
        assert "\\x1b" in text
        assert "Traceback" not in text
