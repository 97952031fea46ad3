"""Prompts as conversations: what they are made from, how they compare, and files of them."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from sea_toolkit.core.noise import prompt_seeds
from sea_toolkit.errors import RecipeError
from sea_toolkit.util.conversation import Message, Prompt, as_prompts, is_one_prompt
from sea_toolkit.util.prompts import read_messages, read_prompts

HISTORY = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "Why?"},
]


def test_a_conversation_reads_as_its_last_turn_and_is_more_than_that():
    prompt = Prompt.of(HISTORY)
    assert str(prompt) == "Why?"
    assert prompt.messages[1] == Message("user", "Hi")
    assert prompt.is_conversation
    assert prompt != "Why?"
    assert Prompt.of("Why?") == "Why?"
    assert prompt != Prompt.of(HISTORY[-1:]) == Prompt.of("Why?")
    index = {prompt: 0, Prompt.of("Why?"): 1}
    assert [index[Prompt.of(HISTORY)], index["Why?"]] == [0, 1]
    assert prompt.ask("How?").messages == (*prompt.messages[:-1], Message("user", "How?"))


def test_it_survives_copies_and_json():
    prompt = Prompt.of(HISTORY)
    for again in (
        copy.deepcopy(prompt),
        pickle.loads(pickle.dumps(prompt)),
        Prompt.of(json.loads(json.dumps(prompt.to_data()))),
    ):
        assert again == prompt
        assert again.messages == prompt.messages
    assert Prompt.of("a").to_data() == "a"
    assert json.dumps(Prompt.of(HISTORY)) == '"Why?"'


def test_a_plain_prompt_keeps_its_random_stream_and_a_conversation_has_its_own():
    plain = prompt_seeds(["Why?", "Why?"], 3)
    assert prompt_seeds([Prompt.of("Why?"), Prompt.of(HISTORY[-1:])], 3) == plain
    assert prompt_seeds([Prompt.of(HISTORY)], 3)[0] not in plain
    assert prompt_seeds([Prompt.of("Why?"), Prompt.of(HISTORY), "Why?"], 3)[::2] == plain


def test_content_may_be_text_parts():
    parts = [{"type": "text", "text": "Hi "}, {"type": "text", "text": "there"}]
    assert Prompt.of([{"role": "user", "content": parts, "name": None}]) == "Hi there"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "the prompt is"),
        ([{"role": "user"}], "message 1 of the prompt"),
        ([{"role": "user", "content": [{"type": "image"}]}], "message 1"),
        ([{"from": "human", "value": "Hi"}], "message 1"),
        ([*HISTORY, {"role": "user", "content": "x", "tool_calls": [1]}], "message 5"),
        ([*HISTORY, {"role": "assistant", "content": "Because"}], "ends with a turn of 'assistant'"),
        (["Hi"], "message 1 of the prompt is 'Hi'"),
        (3, "the prompt is 3"),
    ],
)
def test_what_is_no_conversation_is_refused(given, words):
    with pytest.raises(RecipeError, match=words):
        Prompt.of(given)


def test_one_conversation_is_told_from_several():
    assert is_one_prompt("Hi")
    assert is_one_prompt(HISTORY)
    assert not is_one_prompt([HISTORY])
    assert not is_one_prompt(["Hi"])
    assert as_prompts(HISTORY) == as_prompts([HISTORY]) == [Prompt.of(HISTORY)]
    assert as_prompts(["Hi", HISTORY]) == ["Hi", Prompt.of(HISTORY)]
    with pytest.raises(RecipeError, match="no prompts"):
        as_prompts([])


def test_files_hold_conversations(tmp_path):
    lines = [{"messages": HISTORY, "id": 1}, {"messages": HISTORY[-1:], "id": 2}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert read_prompts(tmp_path / "a.jsonl") == [Prompt.of(HISTORY), "Why?"]
    (tmp_path / "a.json").write_text(json.dumps(["Hi", HISTORY]))
    assert read_prompts(tmp_path / "a.json") == ["Hi", Prompt.of(HISTORY)]
    (tmp_path / "one.json").write_text(json.dumps(HISTORY))
    assert read_prompts(tmp_path / "one.json") == [Prompt.of(HISTORY)]
    assert read_messages(json.dumps(HISTORY), "x") == [Prompt.of(HISTORY)]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", '{"prompt": "Hi"}\n{"prompt": "Yo"}\n', "an object a line"),
        ("a.txt", '[{"role": "user", "content": "Hi"}]\n', "an object a line"),
        ("a.json", '{"prompt": "Hi"}', "holds a dict"),
        ("a.json", "[", "is not JSON"),
        ("a.csv", "question,id\nHi,1\n", "has the columns 'question', 'id'"),
        ("b.csv", "Hi\nYo\n", "--column 1"),
    ],
)
def test_a_header_or_a_line_of_json_is_no_prompt(name, content, words, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(RecipeError, match=words):
        read_prompts(tmp_path / name)


def test_a_column_may_be_a_number(tmp_path):
    (tmp_path / "b.csv").write_text("id,Hi\n1,Yo\n")
    assert read_prompts(tmp_path / "b.csv", "2") == ["Hi", "Yo"]
    with pytest.raises(RecipeError, match="is no table"):
        read_prompts(__file__, "prompt")
