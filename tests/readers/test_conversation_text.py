"""Conversations and steps as a language model reads them: the tokens of the whole, and the bytes that each writes."""

from __future__ import annotations

import pytest

from sea_toolkit.energies.process_reward.forms import FORMS, StepForm
from sea_toolkit.energies.process_reward.step_text import StepText
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.template import ChatTemplate
from sea_toolkit.readers.conversation_text import CONVERSATION, ConversationText, turns_of
from tests.conventions.families import CHATML
from tests.conventions.tokenizers import KINDS, made

PROMPT = "Tell me about rain."
ANSWERS = [
    "Rain falls.",
    " the answer is no\n\nIt is so: 10 > 5.",
    "ein Ärger\n\nمطر 🌧️\n\nend",
    "\n\n a\n\n",
    "日本 の 雨",
]


def conversation(kind, chat):
    tokenizer = made(kind, template=CHATML if chat else None)
    template = ChatTemplate(tokenizer, kind) if chat else None
    turns = CONVERSATION if chat else turns_of("Q: {prompt}\nA: {response}\nRight?", "judge")
    return ConversationText(turns, tokenizer, kind, template, anchor="\n\n")


def stepwise(kind, chat):
    tokenizer = made(kind, template=CHATML if chat else None)
    if chat:
        return StepText(FORMS["rlhflow"], tokenizer, kind, ChatTemplate(tokenizer, kind))
    form = StepForm(turns_of("{prompt}\n{response}", "process-reward"), separator=" > 5.", between="\n", cut="steps")
    return StepText(form, tokenizer, kind, None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize("reading", [conversation, stepwise])
def test_each_token_knows_which_bytes_of_the_answer_it_writes(reading, chat, kind):
    shown = reading(kind, chat)
    for answer in ANSWERS:
        placed = shown.placed(PROMPT, answer)
        text, encoding = shown.read(PROMPT, answer)
        assert placed.ids == list(encoding.input_ids)
        raw, read = answer.encode(), text.encode()
        spans = shown.spans(text, shown.read(PROMPT, answer, offsets=shown.tokenizer.is_fast)[1])
        for (start, end), (a, b) in zip(placed.spans, spans, strict=True):
            assert 0 <= start <= end <= len(raw)
            if start < end:  # the same bytes in the answer as in the whole text, but for what stands around it
                assert raw[start:end] in read[a:b]
        written = {at for start, end in placed.spans for at in range(start, end)}
        if shown.tokenizer.unk_token_id not in placed.ids:
            left = bytes(byte for at, byte in enumerate(raw) if at not in written).decode()
            assert all(c.isspace() or not c.isprintable() for c in left), (left, placed)


@pytest.mark.parametrize("kind", KINDS)
def test_steps_end_at_tokens_of_their_separators(kind):
    shown = stepwise(kind, False)
    placed = shown.placed(PROMPT, ANSWERS[2])
    assert len(placed.ends) == 3
    text, encoding = shown.read(PROMPT, ANSWERS[2], offsets=True)
    spans = shown.spans(text, encoding)
    ends = [len(text[: i + len(" > 5.")].encode()) for i in range(len(text)) if text.startswith(" > 5.", i)]
    assert [spans[at][1] for at in placed.ends] == ends


@pytest.mark.parametrize("template", [[], [{}], [{"user": "{prompt}", "assistant": "{response}"}], "no place"])
def test_a_template_without_turns_or_places_is_refused(template):
    with pytest.raises(RecipeError, match="the template of judge"):
        turns_of(template, "judge")
