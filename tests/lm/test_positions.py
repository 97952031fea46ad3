"""How many tokens a model reads, and what happens to prompts and answers that have more."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    BloomConfig,
    OPTConfig,
)

import sea_toolkit as sea
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.positions import cut_answers, fitting_frames, usable_positions
from sea_toolkit.readers.shown_text import ShownText
from sea_toolkit.testing.tiny import tiny_config, tiny_model, tiny_tokenizer
from tests.helpers import hub, problem_for, tiny_policy
from tests.models.folders import ENCODER_SIZES

LONG = "the cat and the dog " * 8
BERTS = [("bert", 24), ("roberta", 22), ("xlm-roberta", 22), ("camembert", 22), ("electra", 24), ("mpnet", 22)]


def encoder(kind, positions=24, classes=AutoModel, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = AutoConfig.for_model(
            kind, max_position_embeddings=positions, **ENCODER_SIZES, embedding_size=32, pad_token_id=1, **options
        )
        return classes.from_config(config).eval()


@pytest.mark.parametrize(("kind", "usable"), BERTS)
def test_the_usable_positions_are_as_many_as_the_model_runs(kind, usable):
    model = encoder(kind)
    model.get_input_embeddings().padding_idx = None
    assert usable_positions(model) == usable
    embeds = torch.randn(1, usable + 1, 32)
    model(inputs_embeds=embeds[:, :usable])
    with pytest.raises((RuntimeError, IndexError)):
        model(inputs_embeds=embeds)


def test_causal_models_say_it_in_their_config_or_by_their_table():
    assert usable_positions(tiny_model("llama")) == 512
    assert usable_positions(tiny_model("gpt2", n_positions=40)) == 40
    opt = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "ffn_dim": 32, "vocab_size": 128}
    assert (
        usable_positions(AutoModel.from_config(OPTConfig(**opt, word_embed_proj_dim=32, max_position_embeddings=40)))
        == 40
    )
    assert (
        usable_positions(AutoModel.from_config(BloomConfig(hidden_size=32, n_layer=1, n_head=2, vocab_size=128)))
        is None
    )


def test_prompts_lose_their_beginning_and_no_more_of_it_than_needed():
    tokenizer = tiny_tokenizer()

    def frame(prompt):
        return [1, *tokenizer(prompt).input_ids]

    with pytest.raises(
        RecipeError, match=r"prompt 2 has \d+ tokens, and 5 more are to be written[\s\S]*truncate = true"
    ):
        fitting_frames(["a", LONG], frame, len, 5, 20, "m", tokenizer=tokenizer)
    short, cut = fitting_frames(["a", LONG], frame, len, 5, 20, "m", tokenizer=tokenizer, truncate=True)
    assert short == frame("a")
    assert len(cut) == 15
    assert cut[1:] == frame(LONG)[-14:]
    with pytest.raises(RecipeError, match="at most 20 together"):
        fitting_frames(["a"], lambda p: [1] * 20, len, 5, 20, "m", tokenizer=tokenizer, truncate=True)
    assert len(fitting_frames(["a"], frame, len, 5, None, "m", tokenizer=tokenizer)) == 1


def test_answers_are_cut_to_what_is_left_and_the_longer_ones_are_told():
    mask = torch.tensor([[[True] * 5, [True, True, True, False, False]]])
    (ids,), kept, cut = cut_answers([torch.arange(10).view(1, 2, 5)], mask, 7, 10)
    assert ids.tolist() == [[[0, 1, 2], [5, 6, 7]]]
    assert kept.shape == (1, 2, 3)
    assert cut.tolist() == [[True, False]]
    assert cut_answers([mask], mask, 7, None)[1].shape == mask.shape


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("short")
    made = {
        "gpt2": AutoModelForSequenceClassification.from_config(tiny_config("gpt2", n_positions=32, num_labels=1)),
        "bert": encoder("bert", 32, AutoModelForSequenceClassification, num_labels=1),
        "roberta": encoder("roberta", 34, AutoModelForSequenceClassification, num_labels=1),
        "llama": AutoModelForSequenceClassification.from_config(
            tiny_config("llama", max_position_embeddings=32, num_labels=1)
        ),
        "lm": tiny_model("gpt2", n_positions=64),
        "encoder": encoder("roberta", 34),
    }
    for name, model in made.items():
        model.save_pretrained(root / name)
        tokenizer = tiny_tokenizer()
        if name in ("lm", "encoder"):
            tokenizer.chat_template = None
        tokenizer.save_pretrained(root / name)
    return root


def align(energy, prompt=LONG, length=8):
    return sea.align(
        prompt, recipe={"energies": [{"name": "reference"}, energy]}, policy=tiny_policy(), hub=hub(),
        sampler="best-of-n", chains=3, steps=1, max_new_tokens=length,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["gpt2", "bert", "roberta", "llama"])
@pytest.mark.parametrize("kind", ["reward", "classifier"])
def test_a_prompt_that_a_reward_cannot_read_is_refused_or_shortened(folders, name, kind):
    energy = {"name": kind, "model": str(folders / name), "reads": "chat"} | ({} if kind == "reward" else {"target": 0})
    with pytest.raises(RecipeError, match=r"prompt 1 has \d+ tokens, and 8 more are to be written") as caught:
        align(energy)
    assert f"at most 32 together ({name}" in str(caught.value)
    result = align(energy | {"truncate": True})
    assert torch.tensor(result.energy).isfinite().all()


def test_a_shortened_prompt_is_the_end_of_the_prompt():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = None
    shown = ShownText(tokenizer, "rm", "prompt+response", limit=32, truncate=True)
    (cut, _), (whole, _) = shown.frames([LONG, "a cat"], 6)
    assert cut == tokenizer(LONG.rstrip()).input_ids[-len(cut) :]
    assert 26 - len(tokenizer("the").input_ids) <= len(cut) <= 26
    assert whole == tokenizer("a cat").input_ids


@pytest.mark.parametrize("name", ["gpt2", "roberta"])
def test_a_text_longer_than_what_was_drawn_is_read_cut_or_counts_as_infinite(folders, name):
    response = tiny_policy().from_text([["b b " * 20, "b"]], torch.zeros(1, 2).bool())
    values = {}
    for truncate in (False, True):
        energy = {"name": "reward", "model": str(folders / name), "reads": "response", "truncate": truncate}
        values[truncate] = problem_for(recipe={"energies": [energy]}, max_new_tokens=8).terms[0].bound.energy(response)
    assert values[False][0, 0].isnan()
    assert values[False][0, 1] == pytest.approx(float(values[True][0, 1]))
    assert values[True].isfinite().all()


def test_judges_perplexity_and_similarity_are_checked_as_well(folders):
    judge = {
        "name": "judge",
        "model": str(folders / "lm"),
        "yes": "a",
        "no": "b",
        "template": "{prompt}\n{response}\n?",
    }
    with pytest.raises(RecipeError, match=r"prompt 1 has \d+ tokens, and 8 more[\s\S]*the request of judge to .*lm"):
        align(judge)
    assert align(judge | {"truncate": True}).response is not None
    perplexity = {"name": "perplexity", "model": str(folders / "lm")}
    with pytest.raises(RecipeError, match="prompt 1 has"):
        align(perplexity)
    with pytest.raises(RecipeError, match="an answer has up to 70 tokens"):
        align(perplexity | {"conditioned": False}, "a", 70)
    similar = {"name": "semantic-similarity", "model": str(folders / "encoder"), "text": LONG}
    with pytest.raises(RecipeError, match=r"text 1 of semantic-similarity has \d+ tokens[\s\S]*at most 32"):
        align(similar)
    with pytest.raises(RecipeError, match="an answer has up to 40 tokens"):
        align(similar | {"text": "a"}, "a", 40)
    assert align(similar | {"truncate": True}, "a", 40).response is not None
