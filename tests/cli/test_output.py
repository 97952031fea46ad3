"""Standard output is for results: whatever plugins print, wherever it leads, in whatever encoding."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sea_toolkit.cli import main
from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from tests.cli.processes import sea_toolkit, write_chatty

ALIGN = ("align", "the rain", "--max-new-tokens", "4", "--chains", "1", "--sampler", "best-of-n", "--budget", "1")
OCCASIONS = ("import", "hook", "constructor", "bind", "call", "observer", "thread", "atexit")
WAYS = ("print", "stdout", "__stdout__", "descriptor", "subprocess", "library")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a tiny policy."""
    path = tmp_path_factory.mktemp("tiny")
    tiny_model("llama").save_pretrained(path)
    tiny_tokenizer().save_pretrained(path)
    return str(path)


def test_a_run_with_a_plugin_that_prints_everywhere_prints_its_json_alone(tmp_path: Path, tiny: str) -> None:
    chatty = str(write_chatty(tmp_path))
    command = [sys.executable, "-m", "sea_toolkit", *ALIGN, "--model", tiny, "--plugin", chatty, "--json"]
    term = ["--energy", "chatty"]
    done = subprocess.run([*command, *term], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["prompt"] == "the rain"
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
