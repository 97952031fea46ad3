"""A reward with a tokenizer of its own: its exact value, and a gradient through the bridge, in the right places."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from tokenizers import normalizers
from transformers import BertConfig, BertForSequenceClassification, LlamaForSequenceClassification

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.ledger import Ledger
from sea_toolkit.core.meter import Meter
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.problem.context import Context
from sea_toolkit.readers.bridge import plain_bridge
from sea_toolkit.readers.bridged_scorer import BridgedScorer
from sea_toolkit.readers.piece_alignment import overlaps
from sea_toolkit.readers.piece_table import PieceTable
from sea_toolkit.readers.sequence_classifier import ClassifierReader
from sea_toolkit.readers.sequence_scorer import SequenceScorer
from sea_toolkit.readers.shown_text import ShownText
from sea_toolkit.testing.tiny import EOS, PAD, tiny_config, tiny_tokenizer
from tests.conventions.families import CHATML
from tests.conventions.tokenizers import KINDS, made
from tests.helpers import PROMPTS, dense, hub, random_ids, run_for, sparse, tiny_policy
from tests.lm.test_spans import TEXTS

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


def classifier(kind, config, seed=0):
    config.num_labels = 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(config).eval()


def reward_of(kind: str):
    """A tiny reward with a trained tokenizer, an encoder for word pieces and a decoder for the others."""
    if kind == "wordpiece":
        tokenizer = made(kind, ["[CLS]", "[SEP]"], bos="[CLS]", eos="[SEP]", around="[CLS] $A [SEP]")
        tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
        config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=160, initializer_range=0.15, **SIZES)
        return classifier(BertForSequenceClassification, config), tokenizer
    tokenizer = made(kind)
    config = tiny_config("llama", vocab=len(tokenizer), initializer_range=0.15)
    return classifier(LlamaForSequenceClassification, config), tokenizer


def context_of(policy, length=24):
    ledger, prompts = Ledger(), PROMPTS[:2]
    prefix = policy.prefix(policy.encode(prompts, length))
    return Context(policy, prompts, prefix, length, ledger, Clock(), ModelFinder(hub()), Meter(ledger))


def bridged(kind: str, reads="response"):
    policy = tiny_policy()
    model, tokenizer = reward_of(kind)
    if reads == "chat":
        tokenizer.chat_template = CHATML
    reader = ClassifierReader(model, ShownText(tokenizer, kind, reads))
    return BridgedScorer(reader, plain_bridge(reader, policy), context_of(policy)), policy


def texts_of(policy):
    rows = [["the rain is over. ", "On the 10th it is so"], ["No", "answer: what a wonderful thing,  isn't it?"]]
    return policy.from_text(rows, torch.zeros(2, 2, dtype=torch.bool)), rows


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reads", ["response", "prompt+response", "chat"])
def test_the_value_of_a_text_is_the_models_own(kind, reads):
    scorer, policy = bridged(kind, reads)
    response, rows = texts_of(policy)
    with torch.no_grad():
        values = scorer(response)
        for p, row in enumerate(rows):
            for c, text in enumerate(row):
                shown = scorer.shown.text(PROMPTS[p], text)
                ids = scorer.shown.tokenizer(shown, add_special_tokens=reads != "chat", return_tensors="pt").input_ids
                torch.testing.assert_close(values[p, c], scorer.reader.model(ids).logits[0], rtol=1e-4, atol=2e-4)
    torch.testing.assert_close(scorer(response.with_gradient_taps()).detach(), values, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reads", ["response", "prompt+response", "chat"])
@settings(max_examples=8)
@given(text=TEXTS)
def test_each_piece_knows_which_bytes_of_the_answer_it_writes(kind, reads, text):
    tokenizer = made(kind, template=CHATML if reads == "chat" else None)
    shown = ShownText(tokenizer, kind, reads)
    placed = shown.placed("Tell me about rain.", text)
    assert placed.ids == shown.ids("Tell me about rain.", text)
    raw = text.encode()
    for i, (start, end) in zip(placed.ids, placed.spans, strict=True):
        assert 0 <= start <= end <= len(raw)
        word = tokenizer.decode([i])
        whole = start > 0 or reads == "response"  # the first piece may begin in the prompt
        if whole and start < end and i != tokenizer.unk_token_id and "\ufffd" not in word and word.isascii():
            assert word.strip().removeprefix("##") in raw[start:end].decode()
    written = {at for start, end in placed.spans for at in range(start, end)}
    if tokenizer.unk_token_id not in placed.ids:
        left = bytes(byte for at, byte in enumerate(raw) if at not in written).decode()
        assert all(c.isspace() or not c.isprintable() for c in left), (left, placed)


def test_with_the_policys_own_tokens_the_bridge_is_the_straight_road():
    """Then each piece is one token, and value and gradient are those of a reward that shares the vocabulary."""
    policy, tokenizer = tiny_policy(), tiny_tokenizer()
    tokenizer.chat_template = None
    config = BertConfig(vocab_size=128, pad_token_id=PAD, max_position_embeddings=128, initializer_range=0.15, **SIZES)
    reader = ClassifierReader(classifier(BertForSequenceClassification, config), ShownText(tokenizer, "own"))
    context, plain = context_of(policy), plain_bridge(reader, policy)
    bridge = BridgedScorer(reader, plain, context)
    straight = SequenceScorer(reader, context)
    response, _ = texts_of(policy)
    named = torch.tensor([i for i, row in enumerate(plain.pieces.pieces) if len(row) == 1])
    assert len(named) > 100
    found = []
    for scorer in (bridge, straight):
        tapped = response.with_gradient_taps()
        outputs = scorer(tapped)
        gradient = tapped.taps.gradient(outputs.sum())
        columns = [gradient.over_vocabulary(t, 128)[..., named] for t in range(response.shape[2])]
        found.append((outputs.detach(), torch.stack(columns, 2)))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "byte-bpe"])
def test_the_gradient_is_that_of_moving_the_tokens_own_pieces(kind):
    """Compared with the gradient of the model's own forward pass."""
    scorer, policy = bridged(kind)
    response, rows = texts_of(policy)
    tapped = response.with_gradient_taps()
    gradient = tapped.taps.gradient(scorer(tapped).sum())
    text, ids = rows[0][1], response.ids[0, 1].tolist()
    placed = scorer.shown.placed(PROMPTS[0], text)
    spans = scorer.alignment.policy.spans.of(ids[: int(response.alive[0, 1].sum())], text)
    share = overlaps(placed.spans, spans)
    embeds = scorer.reader.embedding(torch.tensor([placed.ids])).detach().requires_grad_()
    (own,) = torch.autograd.grad(scorer.reader.model(inputs_embeds=embeds).logits.sum(), embeds)
    for t in range(len(spans)):
        slope = gradient.over_vocabulary(t, policy.vocab_size)[0, 1]
        expected = scorer.alignment.table @ (share[:, t, None] * own[0]).sum(0)
        torch.testing.assert_close(slope, expected, rtol=2e-3, atol=2e-3 * float(expected.abs().max()))


@pytest.mark.parametrize("form", [dense, sparse])
def test_a_relaxed_response_at_its_corner_has_the_value_of_the_text(form):
    scorer, _ = bridged("wordpiece")
    ids = random_ids(2, 2, 6, low=10)
    ids[0, 1, 3:] = EOS
    relaxed = form(ids)
    relaxed.weights.requires_grad_()
    with torch.no_grad():
        hard = scorer(SoftResponse.from_ids(ids, (EOS,)))
    outputs = scorer(relaxed)
    torch.testing.assert_close(outputs.detach(), hard, rtol=1e-4, atol=2e-4)
    (slope,) = torch.autograd.grad(outputs.sum(), relaxed.weights)
    assert bool(slope[0, 0].abs().sum() > 0)
    assert bool(slope[0, 1, 4:].abs().sum() == 0)  # after the end nothing is read
    assert bool(torch.isfinite(slope).all())


def test_words_inside_a_word_are_continuations():
    policy, (_, tokenizer) = tiny_policy(), reward_of("wordpiece")
    table = PieceTable.between(policy.tokenizer, tokenizer, policy.vocab_size)
    names = policy.tokenizer.convert_ids_to_tokens(list(range(policy.vocab_size)))
    inside, after_space = (tokenizer.convert_ids_to_tokens(table.pieces[names.index(word)]) for word in ("th", "Ġth"))
    assert inside[0].startswith("##")
    assert not after_space[0].startswith("##")
    assert table.pieces[names.index("T")] == table.pieces[names.index("t")]  # the reward knows no upper case
    assert table.pieces[EOS] == []
    assert sum(table.shares) == pytest.approx(1.0)


def test_a_token_that_stands_for_nothing_is_neither_called_nor_forbidden():
    table = PieceTable([[0], [1, 2], []])
    rows = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 4.0]])
    torch.testing.assert_close(table.embeddings(rows), torch.tensor([[1.0, 0.0], [0.0, 3.0], [0.5, 1.5]]))


def test_overlaps_are_shares_of_a_piece():
    shares = overlaps([(0, 4), (4, 8), (0, 0)], [(0, 3), (3, 8)])
    torch.testing.assert_close(shares, torch.tensor([[0.75, 0.25], [0.0, 1.0], [0.0, 0.0]]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An encoder with word pieces, as a user has it."""
    path = tmp_path_factory.mktemp("bridge") / "other"
    model, tokenizer = reward_of("wordpiece")
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.mark.parametrize("sampler", ["tilted", "tilted-exact", "smc", "sea", "sea-adam", "psgld", "mala"])
def test_every_sampler_takes_it_and_says_by_which_road(folder, sampler):
    energies = [{"name": "reference"}, {"name": "reward", "model": str(folder), "weight": 20.0}]
    (result, _) = run_for(energies={}, recipe={"energies": energies}, sampler={"name": sampler}, steps=3).execute()
    assert result.energy[1] <= result.energy[0]
    assert any("has a tokenizer of its own" in note for note in result.notes)


def test_a_text_that_is_too_long_for_the_reward_has_no_value():
    scorer, policy = bridged("byte-bpe")
    scorer.shown.limit = 6
    response, _ = texts_of(policy)
    values = scorer(response.with_gradient_taps())
    assert values.isnan().squeeze(-1).tolist() == [[True, True], [False, True]]
    assert bool(values[1, 0].isfinite().all())
