"""One reader of prompts, for files, arguments and standard input; nothing is loaded before they are checked."""

from __future__ import annotations

import gzip
import io
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sea_toolkit.cli.prompt_sources import asked_prompts
from sea_toolkit.errors import RecipeError
from sea_toolkit.util.conversation import Prompt, as_prompts, is_one_prompt
from sea_toolkit.util.prompts import read_prompts

ODD = "one\u2028two\x0cthree\x85four\x1cfive"
"""Characters at which `str.splitlines` cuts and no line ends."""


def stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="ascii"))


def read(file: Path, content: str | bytes, column: str | None = None) -> list[str]:
    raw = content.encode() if isinstance(content, str) else content
    file.write_bytes(gzip.compress(raw) if file.suffix == ".gz" else raw)
    return [str(prompt) for prompt in asked_prompts((), str(file), column, None)]


@pytest.mark.parametrize("name", ["p.txt", "p", "p.md", "p.txt.gz"])
def test_a_line_ends_at_a_line_end_alone(tmp_path: Path, name: str) -> None:
    assert read(tmp_path / name, f"\ufeff{ODD}\r\n\n \t\n# a comment\n  two\rlines ") == [
        ODD, "# a comment", "  two\rlines ",
    ]  # fmt: skip


def test_standard_input_is_read_as_a_file_is(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin(monkeypatch, f"\ufeff{ODD}\r\nü\n".encode())
    assert asked_prompts((), None, None, None) == [ODD, "ü"]
    stdin(monkeypatch, b"a\n")
    assert asked_prompts(("-",), None, None, None) == ["a"]
    with pytest.raises(RecipeError, match="and other prompts"):
        asked_prompts(("a", "-"), None, None, None)
    stdin(monkeypatch, b"caf\xe9\n")
    with pytest.raises(RecipeError, match=r"standard input cannot be read: 'utf-8' codec[\s\S]*UTF-8"):
        asked_prompts((), "-", None, None)
    stdin(monkeypatch, b" \n")
    with pytest.raises(RecipeError, match="standard input has no prompts"):
        asked_prompts((), None, None, None)


def test_no_standard_input_is_no_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (None, closed):
        monkeypatch.setattr(sys, "stdin", stream)
        with pytest.raises(RecipeError, match="there is no prompt"):
            asked_prompts((), None, None, None)


def test_tables_keep_such_characters_too(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", f'\ufeffprompt,n\r\n"{ODD}",1\r\n') == [ODD]
    assert read(tmp_path / "a.tsv", f"\ufeffn\tprompt\n1\t{ODD}\n") == [ODD]
    assert read(tmp_path / "a.jsonl", f'\ufeff{{"prompt": "{ODD[:7]}", "answer": "gold"}}\r\n\n') == [ODD[:7]]
    assert read(tmp_path / "a.json", '\ufeff["a", [{"role": "user", "content": "b"}]]') == ["a", "b"]
    assert read(tmp_path / "a.jsonl.gz", '{"question": "a"}', "question") == ["a"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", "hi".encode("utf-16"), "it is UTF-16"),
        ("a.txt", b"caf\xe9", "save it as UTF-8"),
        ("a.txt", b"a\0b", "zero byte"),
        ("a.txt", b'{"prompt": "a"}\n', "holds JSON"),
        ("a.txt", b"", "has no prompts"),
        ("a.gz", b"", "has no prompts"),
        ("a.jsonl", b'{"q": "a"}', "--column NAME"),
        (
            "a.jsonl",
            b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            "line 1 is not JSON: it is nested too deep",
        ),
        ("a.jsonl", b'{"prompt": ""}', "line 1 is empty"),
        ("a.jsonl", b'{"prompt": "a", "prompt": "b"}', "the key 'prompt' is there twice"),
        ("a.jsonl", b'{"prompt": null}', "line 1 is None"),
        ("a.jsonl", b'{"prompt": "\\ud83d"}', "surrogate"),
        ("a.csv", b'prompt\n"a\nb\n', "unexpected end of data"),
        ("a.csv", b"prompt,prompt\na,b\n", "two columns called 'prompt'"),
        ("a.json", b"[" * 100_000, "nested too deep"),
    ],
)
def test_a_file_that_is_no_list_of_prompts_says_why(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    with pytest.raises(RecipeError) as refused:
        read(tmp_path / name, content)
    assert words in str(refused.value)


def test_a_pipe_is_a_file_and_a_folder_is_none(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"a\nb\n")
    os.close(writing)
    try:
        assert read_prompts(f"/dev/fd/{reading}") == ["a", "b"]
    finally:
        os.close(reading)
    with pytest.raises(RecipeError, match="is a folder"):
        read_prompts(tmp_path)


def test_the_name_of_a_file_is_no_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my questions").write_text("a\n")
    for names in (("my questions",), ("p.txt",), ("dir/p.jsonl.gz",), ("my questions", "p.csv")):
        with pytest.raises(RecipeError, match="is the name of a file") as refused:
            asked_prompts(names, None, None, None)
        assert f"--prompts {names[0]}" in str(refused.value)
    for texts in (("Explain p.txt", "p.txt"), ("What is in p.txt",), ("x" * 300,), ("~nobody-here",)):
        assert asked_prompts(texts, None, None, None) == list(texts)


class Column:
    """What a library of data sets gives for a column: it can be iterated and is no list."""

    def __init__(self, *values: Any) -> None:
        self.values = values

    def __iter__(self) -> Any:
        return iter(self.values)


def test_python_takes_whatever_holds_texts_or_messages() -> None:
    turn = {"role": "user", "content": "b"}
    for several in (["a", "b"], ("a", "b"), np.array(["a", "b"]), (t for t in "ab"), Column("a", [turn]), iter("ab")):
        assert [str(prompt) for prompt in as_prompts(several)] == ["a", "b"]
    assert [type(prompt) for prompt in as_prompts(np.str_("a"))] == [Prompt]
    assert as_prompts([turn])[0].messages[0].content == "b"
    assert str(as_prompts(Column(Column(turn), np.array([turn])))[1]) == "b"
    assert is_one_prompt(np.str_("a"))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"hi", 'decode("utf-8")'),
        ([b"hi"], "prompt 1 is b'hi'"),
        (None, "the prompt is None"),
        ([None], "prompt 1 is None"),
        (3, "the prompt is 3"),
        ([3], "prompt 1 is 3"),
        (Path("a.txt"), "read_text"),
        ([Path("a.txt")], "read_text"),
        ({"role": "user", "content": "a"}, "[message]"),
        ({"prompt": ["a"]}, 'rows["prompt"]'),
        (Column({"text": "a"}), 'rows["prompt"]'),
        ({"a", "b"}, "order of a set"),
        ("", "prompt 1 is empty"),
        (" \n", "prompt 1 is empty"),
        (["a", ""], "prompt 2 is empty"),
        ([[{"role": "user", "content": ""}]], "prompt 1 is empty"),
        ([], "no prompts"),
        ([[]], "prompt 1 is []"),
        ("\ud83d hi", "surrogate"),
        (["a", ["b"]], "message 1 of prompt 2"),
        (float("nan"), "the prompt is nan"),
    ],
)
def test_python_refuses_what_is_no_prompt_before_anything_is_loaded(value: Any, words: str) -> None:
    with pytest.raises(RecipeError) as refused:
        as_prompts(value)
    assert words in str(refused.value)
