"""Tokenizer, embedding and head of a model may each count otherwise; so may a reward of the same tokenizer."""

from __future__ import annotations

import math

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    ByT5Tokenizer,
    PreTrainedTokenizerFast,
)

import sea_toolkit as sea
from sea_toolkit import align
from sea_toolkit.core.noise import Noise
from sea_toolkit.errors import ModelError
from sea_toolkit.lm.decoding import decode
from sea_toolkit.lm.embedding_space import EmbeddingSpace
from sea_toolkit.lm.fingerprint import same_vocabulary
from sea_toolkit.lm.policy import Policy
from sea_toolkit.testing.tiny import EOS, tiny_config, tiny_model, tiny_tokenizer
from tests.architectures.build import small_model
from tests.helpers import PROMPTS, warmth

SAMPLERS = ("tilted", "tilted-exact", "sea-adam", "discrete-langevin")


@pytest.fixture(scope="module")
def reward(tmp_path_factory):
    """From a number of rows to the folder of a reward with the tiny tokenizer."""
    root = tmp_path_factory.mktemp("rewards")

    def folder(rows: int) -> str:
        path = root / str(rows)
        if not path.exists():
            config = tiny_config("llama", rows, num_labels=1, initializer_range=0.15)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(1)
                AutoModelForSequenceClassification.from_config(config).save_pretrained(path)
            tiny_tokenizer().save_pretrained(path)
        return str(path)

    return folder


def energy_recipe(energy: str, folder: str) -> dict:
    """Of one energy that asks a model in the folder, beside the reference."""
    options = {
        "reward": {"model": folder},
        "classifier": {"model": folder, "target": 0},
        "perplexity": {"model": folder},
    }
    return {"energies": [{"name": "reference"}, {"name": energy, "weight": 2.0, **options[energy]}]}


@pytest.mark.parametrize(("rows", "reward_rows"), [(128, 160), (160, 128), (160, 192)])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_reward_may_have_other_rows_of_padding(reward, rows, reward_rows, sampler):
    policy = Policy(tiny_model("llama", rows), tiny_tokenizer(), name="padded")
    recipe = energy_recipe("reward", reward(reward_rows))
    result = sea.align(PROMPTS[0], policy=policy, recipe=recipe, sampler=sampler, steps=2, chains=2, max_new_tokens=6)
    assert all(map(math.isfinite, result.energy))
    ids = policy.from_text([[result.response]], torch.tensor([[False]])).ids
    assert (ids < 128).all()


@pytest.mark.parametrize("energy", ["classifier", "perplexity"])
@pytest.mark.parametrize(("rows", "other_rows"), [(128, 160), (160, 128)])
def test_other_models_may_have_other_rows_of_padding(reward, tmp_path, energy, rows, other_rows):
    folder = reward(other_rows)
    if energy == "perplexity":
        folder = str(tmp_path)
        tiny_model("llama", other_rows, seed=4).save_pretrained(folder)
        tiny_tokenizer().save_pretrained(folder)
    policy = Policy(tiny_model("llama", rows), tiny_tokenizer(), name="padded")
    recipe = energy_recipe(energy, folder)
    for sampler in ("tilted", "sea"):
        result = sea.align(PROMPTS[0], policy=policy, recipe=recipe, sampler=sampler, steps=2, max_new_tokens=6)
        assert all(map(math.isfinite, result.energy))


def test_an_embedding_with_more_rows_than_the_head():
    """Moshi's has one more: for its text's start."""
    policy = Policy(small_model("moshi", AutoModelForCausalLM), tiny_tokenizer(), name="moshi")
    assert (len(policy.backbone.weight), policy.vocab_size, len(policy.table)) == (129, 128, 128)
    for sampler in ("tilted-exact", "discrete-langevin"):
        result = sea.align(
            PROMPTS[0], policy=policy, energies={"warmth": (2.0, warmth)}, sampler=sampler, steps=2,
            max_new_tokens=6,
        )  # fmt: skip
        assert all(map(math.isfinite, result.energy))


@pytest.fixture(scope="module")
def padded() -> Policy:
    """160 rows for 128 tokens, and the rows of padding have by far the largest logits."""
    model = tiny_model("llama", 160, tie_word_embeddings=False)
    with torch.no_grad():
        model.lm_head.weight[128:] *= 20
    return Policy(model, tiny_tokenizer(), name="padded")


def test_padding_is_never_written(padded):
    prefix = padded.prefix(padded.encode(PROMPTS, 12))
    hidden = padded.predictors(prefix, padded.backbone.embedding(torch.full((3, 4, 12), 9)))
    raw = padded.model.lm_head(hidden)
    assert (raw.argmax(-1) >= 128).any(), "without care padding would be drawn"
    logits = padded.logits(hidden)
    assert logits[..., 128:].isneginf().all()
    assert torch.equal(logits[..., :128], raw[..., :128])
    for uniform in (None, Noise([1, 2, 3]).uniform(4, 12)):
        drawn = decode(padded, prefix, uniform, length=12, chains=4)
        assert (drawn.ids < 128).all()
        assert drawn.log_prob.isfinite().all()


@pytest.mark.parametrize(
    ("sampler", "relaxation"),
    [
        *((sampler, None) for sampler in ("tilted", "discrete-langevin", "args", "smc", "chunk-beam")),
        *((sampler, {"name": "straight-through", "top_k": 0}) for sampler in ("sea", "sea-adam", "psgld")),
        ("sea", {"name": "embedding"}),
    ],
)
def test_no_sampler_writes_padding(padded, sampler, relaxation, monkeypatch):
    written, plain = [], Policy.text

    def text(policy, ids):
        written.append(ids)
        return plain(policy, ids)

    monkeypatch.setattr(Policy, "text", text)
    recipe = {} if relaxation is None else {"relaxation": relaxation}
    result = sea.align(
        PROMPTS[0], policy=padded, energies={"warmth": (2.0, warmth)}, sampler=sampler, steps=2, chains=2,
        max_new_tokens=6, recipe=recipe,
    )  # fmt: skip
    assert all(map(math.isfinite, result.energy))
    assert written
    assert all((ids < 128).all() for ids in written)


def test_points_are_read_as_tokens_alone(padded):
    space = EmbeddingSpace(padded.table, padded.token_ids)
    assert (space.nearest(padded.table[128:].float()) < 128).all()
    small = EmbeddingSpace(padded.table[:128])
    assert space.unit == small.unit
    slope = torch.randn(3, 160, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(space.gradient(slope), small.gradient(slope[:, :128]))


def test_ids_between_tokens_are_never_written():
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({"<eos>": 0, "rain": 5, "sun": 9}, unk_token="<eos>")), eos_token="<eos>"
    )
    policy = Policy(tiny_model("llama"), tokenizer, template="plain")
    assert policy.token_ids.tolist() == [0, 5, 9]
    drawn = decode(policy, policy.prefix([[5]]), Noise([1]).uniform(8, 8))
    assert set(drawn.ids.unique().tolist()) <= {0, 5, 9}


def test_a_tokenizer_of_bytes_decodes_all_that_is_drawn():
    """ByT5 has 384 tokens, and its models 389 rows or more: no byte is behind the last ones."""
    policy = Policy(tiny_model("llama", 400, tie_word_embeddings=False), ByT5Tokenizer(), template="plain")
    with torch.no_grad():
        policy.model.lm_head.weight[384:] *= 20
    assert len(policy.tokenizer) == 384 == int(policy.token_ids[-1]) + 1
    drawn = decode(policy, policy.prefix([[70, 71, 72]]), Noise([1]).uniform(8, 8))
    assert len(policy.text(drawn.ids)[0]) == 8


def test_an_empty_tokenizer_is_refused():
    empty = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({}, unk_token="<unk>")))
    with pytest.raises(ModelError, match="the tokenizer of bare has no tokens"):
        Policy(tiny_model(), empty, name="bare")


def test_a_token_beyond_the_embedding_is_refused_where_it_is_used(tmp_path):
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["<think>"])
    policy = Policy(tiny_model(), tokenizer, name="small")
    policy.prefix(policy.encode(["no such token in here"], 4))
    missing = "the text has the token 128, and the embedding of .*small.* has 128 rows"
    with pytest.raises(ModelError, match=missing):
        policy.prefix(policy.encode(["<think>hello"], 4))
    with pytest.raises(ModelError, match=missing):
        policy.from_text([["a <think>"]], torch.tensor([[True]]))
    tiny_model().save_pretrained(tmp_path / "small")
    tokenizer.save_pretrained(tmp_path / "small")
    small = str(tmp_path / "small")
    for recipe in (
        {"initializer": {"name": "draft", "text": "a <think> b"}},
        {"initializer": {"name": "prefilled", "text": "a <think> b"}},
        {"initializer": {"name": "prefilled", "text": "a <think> b", "locked": True}},
        {"energies": [{"name": "semantic-similarity", "text": "a <think> b"}]},
        {"energies": [{"name": "semantic-similarity", "text": "a <think> b", "model": small}]},
        {"energies": [{"name": "judge", "question": "<think>", "yes": "a", "no": "o", "model": small}]},
    ):
        base = {"energies": [{"name": "length", "target": 4.0}], "policy": {"model": small}}
        with pytest.raises(ModelError, match=missing):
            align("a", recipe=base | recipe, sampler="best-of-n", chains=2, budget=4, max_new_tokens=20)


def test_end_tokens_that_are_no_tokens_are_left_out_and_told():
    model = tiny_model()
    model.generation_config.eos_token_id = [EOS, -1, 128009]
    policy = Policy(model, tiny_tokenizer(), name="odd")
    assert policy.eos_ids == (EOS,)
    assert policy.notes == ("odd: the end-of-text ids [-1, 128009] are no tokens of the model and are left out",)
    bare = tiny_tokenizer()
    bare.eos_token, bare.chat_template = None, None
    model.generation_config.eos_token_id = [[3], "x", EOS]
    policy = Policy(model, tiny_tokenizer(), name="odd")
    assert policy.eos_ids == (EOS,)
    assert policy.notes == ("odd: the end-of-text ids ['x', [3]] are no tokens of the model and are left out",)
    model.generation_config.eos_token_id = 128009
    with pytest.raises(ModelError, match="odd has no end-of-text token"):
        Policy(model, bare, name="odd")


def test_vocabularies_are_compared_by_what_texts_are_made_of():
    plain, padding, word, moved = (tiny_tokenizer() for _ in range(4))
    padding.add_special_tokens({"pad_token": "[PAD]"})
    word.add_tokens(["wordy"])
    moved = tiny_tokenizer(vocab=140)
    assert same_vocabulary(plain, plain)
    assert same_vocabulary(padding, plain), "training a reward adds a padding token"
    assert same_vocabulary(plain, padding), "a special token is in no text"
    assert same_vocabulary(word, plain)
    assert not same_vocabulary(plain, word), "the reader has no row for a token of texts"
    assert not same_vocabulary(ByT5Tokenizer(), plain)
    other = tiny_tokenizer()
    other.add_special_tokens({"pad_token": "[PAD]"})
    other.add_tokens(["[X]"])
    assert not same_vocabulary(moved, other), "one id, two tokens"
