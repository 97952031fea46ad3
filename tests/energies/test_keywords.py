"""The energy `keywords`: words are found as a person reads them, however a text is cut into tokens."""

from __future__ import annotations

import importlib.util
import itertools
import re
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.energies.keywords.automaton import Machine
from sea_toolkit.energies.keywords.inflection import inflections
from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.lm.token_bytes import token_bytes
from sea_toolkit.testing import Setting, check_energy
from sea_toolkit.testing.tiny import EOS, tiny_tokenizer
from tests.helpers import PROMPTS, hub, problem_for, tiny_policy

needs_lemminflect = pytest.mark.skipif(
    importlib.util.find_spec("lemminflect") is None, reason="the extra `inflection` is not installed"
)


def bound(prompts=("p",), policy=None, **options):
    recipe = {"energies": [{"name": "keywords", **options}]}
    return problem_for(recipe=recipe, prompts=prompts, policy=policy, sampler="best-of-n").terms[0]


def score(text, **options):
    return float(bound(**options).score_text(["p"], [[text]]))


# --- words in a text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a field", True), ("Field.", True), ("FIELD!", True), ("fields", False), ("the field's edge", True),
        ("“field”", True), ("field—and", True), ("one\nfield\ttwo", True), ("**field**", True), ("in-field", True),
        ("fieldwork", False), ("infield", False), ("field_1", False), ("field2", False), ("fiel d", False), ("", False),
        ("afield field", True), ("fieldé", False), ("éfield", False), ("field€", False), ("field…", True),
    ],
)  # fmt: skip
def test_whole_words_in_any_case(text, found):
    assert score(text, words=["field"]) == (0 if found else 1)
    assert score(text, forbidden=["field"]) == (1 if found else 0)


def test_phrases_spellings_and_letters_beyond_ascii():
    assert score("Ice cream.", words=["ice cream"]) == 0
    assert score("ice ice cream", words=["ice cream"]) == 0
    assert score("icecream, ice, cream", words=["ice cream"]) == 1
    assert score("three mice", words=["mouse|mice"]) == 0
    assert score("a mouses", words=["mouse|mice"]) == 1
    assert score("CAFÉ", words=["café"]) == 0
    assert score("Élan", words=["élan"]) == 0
    assert score("I know C++.", words=["C++"]) == 0
    assert score("use .NET here", words=[".NET"]) == 0
    assert score("don’t", words=["don’t"]) == 0
    assert score("It costs 10€!", words=["10€"]) == 0
    assert score("10₭", words=["10€"]) == 1


def test_each_word_counts_once():
    assert score("rain, rain and rain on a dog", words=["rain", "cat", "tree"], forbidden=["dog", "on", "fog"]) == 4


ALPHABET = "ab _.é’"


@settings(max_examples=120)
@given(st.text(ALPHABET, max_size=12), st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=3))
def test_the_automaton_reads_like_a_regular_expression(text, spellings):
    """Boundaries of the expression: its own `\\w`, for which the right quotation mark is no word either."""
    expected = re.search(rf"(?<!\w)(?:{'|'.join(spellings)})(?!\w)", text) is not None
    assert Machine(spellings).finds(text) == expected


FORMS = """
stop: stops stopped stopping; carry: carries carried carrying; play: plays played playing; watch: watches watched
dance: dances danced dancing; lie: lies lied lying lay; see: saw seen seeing; stand: stood standing
child: children
be: am is are was were been being; panic: panics panicked panicking; analysis: analyses; criterion: criteria
quiz: quizzes quizzed; seek: sought seeking; swear: swore sworn; arise: arose arisen; mistake: mistook mistaken
overcome: overcame; awake: awoke; forbid: forbade forbidden; quit: quitting; mouse: mice; leaf: leaves; run: ran running
"""


@needs_lemminflect
@pytest.mark.parametrize("entry", [entry.strip() for entry in FORMS.replace("\n", ";").split(";") if entry.strip()])
def test_inflections(entry):
    word, forms = entry.split(": ")
    assert {word, *forms.split()} <= set(inflections(word.capitalize()))


@needs_lemminflect
def test_words_that_no_dictionary_has():
    assert {"frobnicates", "frobnicated", "frobnicating"} <= set(inflections("frobnicate"))
    assert inflections("café") == ["café"]
    assert inflections("x2") == ["x2"]


@needs_lemminflect
def test_inflected_words_in_a_text():
    assert score("FIELDS!", words=["field"], inflect=True) == 0
    assert score("fielded", words=["field"], inflect=True) == 0
    assert score("fieldwork", words=["field"], inflect=True) == 1
    assert score("Ice creams.", words=["ice cream"], inflect=True) == 0
    assert score("three mice", words=["mouse"], inflect=True) == 0
    assert score("a mouses", words=["mouse|mice"], inflect=True) == 1
    assert score("Ran", words=["run"], inflect=True) == 0
    assert score("He ran.", forbidden=["run"], inflect=True) == 1


def test_without_the_package_inflections_are_refused_when_the_recipe_is_read(monkeypatch):
    monkeypatch.setitem(sys.modules, "lemminflect", None)
    with pytest.raises(RecipeError, match=r"inflect.*\nexpected: inflect = false.*\ntry: pip install .*\[inflection\]"):
        hub().get("energy", "keywords").build({"words": ["run"], "inflect": True})
    assert score("three mice", words=["mouse|mice"]) == 0
    assert score("ran", words=["run"]) == 1


# --- tokens


def cuts(text, tokenizer):
    """Every way to write the text in tokens."""
    pieces = {b.decode(): i for i, b in enumerate(token_bytes(tokenizer, len(tokenizer))) if b}

    def rest(at):
        if at == len(text):
            yield []
        for end in range(at + 1, min(at + 4, len(text)) + 1):
            if text[at:end] in pieces:
                for tail in rest(end):
                    yield [pieces[text[at:end]], *tail]

    return list(rest(0))


@pytest.mark.parametrize(("text", "missing"), [("on the it", 1), ("anthe on", 2), ("the.on on", 1), ("then th e", 3)])
def test_it_does_not_matter_how_the_text_is_cut(text, missing):
    energy = bound(words=["the", "on", "and"])
    rows = cuts(text, tiny_tokenizer())
    assert len(rows) > 4
    width = max(map(len, rows)) + 2
    ids = torch.tensor([[row + [EOS] * (width - len(row)) for row in rows]])
    assert score(text, words=["the", "on", "and"]) == missing
    assert energy(SoftResponse.from_ids(ids, (EOS,))).tolist() == [[missing] * len(rows)]


def test_a_relaxed_answer_costs_the_expectation():
    """Against the enumeration of all token sequences."""
    tokenizer = tiny_tokenizer()
    ids = [tokenizer.convert_tokens_to_ids(t) for t in ("Ġ", "t", "he", "the", "a", "Ġa")] + [EOS]
    g = torch.Generator().manual_seed(0)
    weights = torch.randn(1, 1, 4, len(ids), generator=g).mul(1.5).softmax(-1)
    candidates = torch.tensor(ids).expand(1, 1, 4, -1)
    options = {"words": ["the", "a"], "forbidden": ["at"]}
    energy, expected = bound(**options), 0.0
    for row in itertools.product(range(len(ids)), repeat=4):
        p = 1.0
        for t, k in enumerate(row):
            p *= float(weights[0, 0, t, k])
        tokens = [ids[k] for k in row]
        text = tiny_policy().text(torch.tensor([[tokens]]))[0][0]
        expected += p * float(energy.score_text(["p"], [[text]]))
    found = energy(SoftResponse.from_weights(weights, candidates, (EOS,)))
    assert found.item() == pytest.approx(expected, abs=1e-5)


def test_a_text_has_a_slope_towards_a_missing_word():
    policy = tiny_policy()
    ids = policy.tokenizer("it x on", add_special_tokens=False).input_ids
    (word,) = policy.tokenizer(" a", add_special_tokens=False).input_ids
    space = policy.tokenizer.convert_tokens_to_ids("Ġ")
    tapped = SoftResponse.from_ids(torch.tensor([[ids]]), (EOS,)).with_gradient_taps()
    slope = tapped.taps.gradient(bound(words=["a"])(tapped).sum())
    # " a" in the place of the last token is the word; in the place of the space of " x" it is "ax"
    assert slope.over_vocabulary(len(ids) - 1, 128)[0, 0, word] == -1.0
    assert slope.over_vocabulary(ids.index(space), 128)[0, 0, word] == 0.0


@pytest.mark.parametrize("options", [{"words": ["the", "rain"], "forbidden": ["town", "a"]}, {"forbidden": ["on"]}])
def test_it_keeps_its_promises(options):
    check_energy("keywords", Setting(hub=hub(), texts=["the rain", "Rain in a town", "a the.", "on"]), **options)


def test_words_of_the_prompt():
    prompts = ["use the words: the, rain. now", "use the words: don't and ice-cream."]
    energy = bound(prompts, from_prompt="words: ([^.]*)", words=["on"])
    texts = ["the rain on", "I don't eat ice-cream and more on it", "and on"]
    found = energy.score_text(prompts, [texts, texts])
    assert found.flatten().tolist() == [0, 3 - 1, 2, 3, 0, 2]
    hard = tiny_policy().from_text([texts, texts], torch.ones(2, 3, dtype=torch.bool))
    assert energy(hard).tolist() == found.tolist()
    setting = Setting(hub=hub(), prompts=prompts, texts=["the rain", "ice-cream"])
    check_energy("keywords", setting, from_prompt="words: ([^.]*)")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({}, "no words"),
        ({"words": [""]}, "empty spelling"),
        ({"words": ["a||b"]}, "empty spelling"),
        ({"words": ["a"], "forbidden": ["a"]}, "both required and forbidden"),
        ({"from_prompt": "("}, "no regular expression"),
        ({"from_prompt": "words"}, "0 groups"),
        ({"from_prompt": "words: (.*)"}, "finds no words in the prompt"),
        ({"from_prompt": "(rain)|a", "forbidden": ["rain"]}, "both required and forbidden"),
    ],
)
def test_what_means_nothing_is_refused(options, word):
    with pytest.raises(RecipeError, match=word):
        problem_for(recipe={"energies": [{"name": "keywords", **options}]}, prompts=PROMPTS[:1])


# --- what tokens write


def test_tokens_write_what_decoding_shows():
    tokenizer = tiny_tokenizer()
    found = token_bytes(tokenizer, 130)
    assert len(found) == 130
    assert found[:4] == [b""] * 4
    assert found[128:] == [b"", b""]
    for ids in torch.randint(0, 128, (50, 12), generator=torch.Generator().manual_seed(0)).tolist():
        assert b"".join(found[i] for i in ids).decode() == tokenizer.decode(ids, skip_special_tokens=True)


def piece_tokenizer(decoder):
    from tokenizers import Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    words = ["<unk>", *(f"<0x{b:02X}>" for b in range(256)), "▁", "▁field", "field", *"abcdefghijklmnopqrstuvwxyz"]
    model = models.BPE(vocab={w: i for i, w in enumerate(words)}, merges=[], unk_token="<unk>", byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(parts) if decoder == "pieces" else decoders.WordPiece()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


def test_sentence_pieces_and_their_bytes():
    tokenizer = piece_tokenizer("pieces")
    found = token_bytes(tokenizer, len(tokenizer))
    names = ["▁", "▁field", "field", "<0xC3>", "a"]
    assert [found[tokenizer.convert_tokens_to_ids(n)] for n in names] == [b" ", b" field", b"field", b"\xc3", b"a"]


def test_a_tokenizer_that_joins_tokens_in_another_way_is_refused():
    tokenizer = piece_tokenizer("words")
    with pytest.raises(ModelError, match="one after the other"):
        token_bytes(tokenizer, len(tokenizer))


@needs_lemminflect
@pytest.mark.real_model
def test_the_real_vocabulary(loaded_smollm2):
    policy = loaded_smollm2()
    text = "The old café's “field” was full of ice cream — the children stood there, in the sun; I ate a lot of it. "
    words = ["the", "café", "field", "ice cream", "child", "stand", "sun", "I", "it", "a", "lot", "cat"]
    energy = bound(["p"], policy=policy, words=words, inflect=True)
    assert float(energy.score_text(["p"], [[text]])) == 1
    g, source = torch.Generator().manual_seed(0), torch.tensor(policy.tokenizer(text * 2).input_ids)
    shuffled = source[torch.rand(32, len(source), generator=g).argsort(-1)[:, :30]][None]
    rare = torch.randint(0, policy.vocab_size, shuffled.shape, generator=g)
    ids = torch.where(torch.rand(shuffled.shape, generator=g) < 0.15, rare, shuffled)
    found = energy(SoftResponse.from_ids(ids, policy.eos_ids))[0]
    assert found.tolist() == energy.score_text(["p"], policy.text(ids))[0].tolist()
    assert 0 < found.min() < found.max() < len(words)
