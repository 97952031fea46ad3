"""Which bytes of a text each token writes, for each kind of tokenizer and any script."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sea_toolkit.lm.spans import TokenSpans, character_spans
from sea_toolkit.lm.token_bytes import token_bytes
from sea_toolkit.lm.tokens import middle_of_text
from tests.conventions.tokenizers import KINDS, made

SCRIPTS = [
    "rain ",
    "The",
    " no:",
    "é",
    "e\u0301",
    "मौसम",
    "سلام",
    "天气",
    "한국",
    "👩‍👩‍👧",
    "🏳️‍🌈",
    "\n",
    "  ",
    "10",
    "’",
    "ﬁ",
    "\u200f",
]
TEXTS = st.lists(st.sampled_from(SCRIPTS) | st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).map(
    "".join
)
CACHE: dict[str, tuple] = {}


def of_kind(kind):
    if kind not in CACHE:
        tokenizer = made(kind)
        codec = middle_of_text(tokenizer)
        CACHE[kind] = tokenizer, codec, TokenSpans(tokenizer, codec.decode)
    return CACHE[kind]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40)
@given(text=TEXTS)
def test_spans_follow_each_other_and_stay_inside_the_text(kind, text):
    _, codec, spans = of_kind(kind)
    (ids,) = codec.encode([text])
    shown = codec.decode(ids)
    found = spans.of(ids, shown)
    assert len(found) == len(ids)
    size, last = len(shown.encode()), 0
    for start, end in found:
        assert last <= start <= end <= size
        last = start


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("unigram", "wordpiece")])
@settings(max_examples=40)
@given(text=TEXTS)
def test_a_vocabulary_of_bytes_writes_every_byte_of_the_text_once(kind, text):
    tokenizer, codec, spans = of_kind(kind)
    (ids,) = codec.encode([text])
    shown = codec.decode(ids)
    if "\ufffd" in shown or tokenizer.unk_token_id in ids:
        return
    spellings = token_bytes(tokenizer, len(tokenizer))
    raw = shown.encode()
    for i, (start, end) in zip(ids, spans.of(ids, shown), strict=True):
        assert raw[start:end] in (spellings[i], spellings[i].lstrip(b" "))
    assert sum(end - start for start, end in spans.of(ids, shown)) == len(raw)


def test_an_answer_that_stops_within_a_character_keeps_the_places_of_the_rest():
    _, codec, spans = of_kind("byte-bpe")
    (ids,) = codec.encode(["rain 👩"])
    shown = codec.decode(ids[:-1])
    assert shown.endswith("\ufffd")
    found = spans.of(ids[:-1], shown)
    assert found[0][0] == 0
    assert found[-1][1] == len(shown.encode())


def test_characters_are_counted_in_bytes():
    assert character_spans([(0, 1), (1, 2), (2, 4)], "aé👩b") == [(0, 1), (1, 3), (3, 8)]
