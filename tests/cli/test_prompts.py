"""Prompts of `align`: files, conversations, and how they are put into the chat template."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from sea_toolkit.util import run_files
from tests.cli.commands import invoke

HISTORY = [
    {"role": "user", "content": "is it on"},
    {"role": "assistant", "content": "it is"},
    {"role": "user", "content": "the rain"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny policy whose template has a variable."""
    path = tmp_path_factory.mktemp("policy")
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{% if loud %}{{ 'LOUD ' * loud }}{% endif %}" + tokenizer.chat_template
    tiny_model("llama").save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def run(folder: Path, *arguments: str, stdin: str | None = None) -> Result:
    short = ["--model", str(folder), "--max-new-tokens", "6", "--sampler", "best-of-n", "--steps", "1", "--json"]
    return invoke("align", *short, "--energy", "length=1,target=3", *arguments, stdin=stdin)


def answers(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def refused(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


def test_a_conversation_is_more_than_its_last_turn(folder: Path, tmp_path: Path) -> None:
    (with_history,) = answers(run(folder, "--messages", json.dumps(HISTORY), "--out", str(tmp_path / "out")))
    (alone,) = answers(run(folder, "the rain"))
    assert with_history["prompt"] == alone["prompt"] == "the rain"
    assert with_history["messages"] == HISTORY
    assert "messages" not in alone
    assert with_history["base_response"] != alone["base_response"]
    assert run_files.read_json(tmp_path / "out" / run_files.RECIPE)["prompts"] == [HISTORY]
    again = invoke("resume", tmp_path / "out", "--json")
    assert answers(again)[0]["candidates"] == with_history["candidates"]


def test_conversations_come_from_files(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": 1, "messages": HISTORY}) + "\n")
    (tmp_path / "a.json").write_text(json.dumps([HISTORY, "is it on"]))
    (first,) = answers(run(folder, "--messages", str(tmp_path / "a.jsonl")))
    (same,) = answers(run(folder, "--prompts", str(tmp_path / "a.jsonl")))
    assert first["candidates"] == same["candidates"]
    both = answers(run(folder, "--messages", str(tmp_path / "a.json")))
    assert [r["prompt"] for r in both] == ["the rain", "is it on"]


def test_a_table_gives_a_column_and_not_its_header(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,q\n1,the rain\n2,in and on\n")
    found = answers(run(folder, "--prompts", str(tmp_path / "a.csv"), "--column", "q"))
    assert [r["prompt"] for r in found] == ["the rain", "in and on"]
    refused(run(folder, "--prompts", str(tmp_path / "a.csv")), "'id', 'q'", "--column")


def test_system_and_template_options_reach_the_policy(folder: Path) -> None:
    plain, system, loud = (
        answers(run(folder, "the rain", *more))[0]["base_response"]
        for more in ((), ("--system", "a b c"), ("--template-option", "loud=3"))
    )
    assert len({plain, system, loud}) == 3
    told = [{"role": "system", "content": "a b c"}, {"role": "user", "content": "the rain"}]
    (same,) = answers(run(folder, "--messages", json.dumps(told)))
    assert same["messages"] == told


def test_mistakes_are_named(folder: Path, tmp_path: Path) -> None:
    refused(run(folder, "the rain", "--messages", "[]"), "prompts on the command line and --messages")
    refused(run(folder, "--messages", "[]"), "there are no prompts")
    refused(run(folder, "--messages", "[{]"), "--messages is not JSON")
    refused(run(folder, "--messages", json.dumps(HISTORY[:2])), "ends with a turn of 'assistant'", "prefilled")
    refused(run(folder, "the rain", "--column", "q"), "--column q without a table")
    refused(run(folder, "the rain", "--template-option", "quiet=1"), "no variable 'quiet'")
    refused(run(folder, "the rain", "--template-option", "quiet"), "KEY=VALUE")
    refused(run(folder, "the rain", "--template", "plain", "--system", "x"), "are plain")
    refused(run(folder, stdin='{"prompt": "the rain"}\n'), "standard input holds JSON")
    refused(run(folder, "--template", "plain", "--messages", json.dumps(HISTORY)), "3 turns")
    refused(run(folder, "the rain", "--set", "policy.date=2026-13-01"), "policy.date")
