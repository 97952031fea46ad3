"""Prompt and answer as two segments, with token types: the numbers of `model(**tokenizer(prompt, answer))`."""

from __future__ import annotations

import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    LongformerConfig,
    LongformerForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import RecipeError
from sea_toolkit.readers.bridge import plain_bridge
from sea_toolkit.readers.bridged_scorer import BridgedScorer
from sea_toolkit.readers.sequence_classifier import ClassifierReader
from sea_toolkit.readers.shown_pair import ShownPair
from sea_toolkit.readers.shown_to import shown_to
from sea_toolkit.testing.tiny import BOS, EOS, PAD, tiny_tokenizer
from tests.conventions.tokenizers import made
from tests.helpers import PROMPTS, dense, problem_for, random_ids, tiny_policy
from tests.readers.test_bridge import context_of

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
MORE = SIZES | {"initializer_range": 0.15, "pad_token_id": PAD, "num_labels": 1, "max_position_embeddings": 160}
CLOSE = {"rtol": 1e-4, "atol": 2e-4}
MODELS = {
    # cross-encoder/ms-marco-MiniLM-L6-v2; OpenAssistant/reward-model-deberta-v3-large-v2; RoBERTa has no token types
    "bert": (BertForSequenceClassification, BertConfig),
    "deberta": (DebertaV2ForSequenceClassification, DebertaV2Config),
    "roberta": (RobertaForSequenceClassification, RobertaConfig),
    "longformer": (LongformerForSequenceClassification, LongformerConfig),
}


def pairing(types=True):
    """The policy's tokenizer, which wraps texts and pairs as BERT's does, or as RoBERTa's, without token types."""
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = None
    second = 1 if types else 0
    tokenizer._tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A <eos>",
        pair=f"<bos> $A <eos> $B:{second} <eos>:{second}",
        special_tokens=[("<bos>", BOS), ("<eos>", EOS)],
    )
    if types:
        tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
        tokenizer.init_kwargs["model_input_names"] = tokenizer.model_input_names  # so that it is saved
    return tokenizer


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of tiny encoders, with the models and tokenizers themselves."""
    root, found = tmp_path_factory.mktemp("pairs"), {}
    for name, (kind, config) in MODELS.items():
        extra = {"attention_window": 8} if name == "longformer" else {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(len(name))
            model = kind(config(vocab_size=128, **MORE, **extra)).eval()
        tokenizer = pairing(types=name not in ("roberta", "longformer"))
        model.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
        found[name] = (root / name, model, tokenizer)
    return found


def term_of(folder, **options):
    recipe = {"energies": [{"name": "reward", "model": str(folder), **({"reads": "pair"} | options)}]}
    return problem_for(recipe=recipe, prompts=PROMPTS, max_new_tokens=6).terms[0]


def own(model, tokenizer, prompt, answer):
    with torch.no_grad():
        return model(**tokenizer(prompt, answer, return_tensors="pt")).logits[0]


@pytest.mark.parametrize("name", MODELS)
def test_a_pair_scores_as_the_model_scores_it_by_itself(folders, name):
    folder, model, tokenizer = folders[name]
    term, policy = term_of(folder), tiny_policy()
    texts = [["the rain is over", "No. it is so"], ["yes", "then we went on"], ["and on", "a"]]
    response = policy.from_text(texts, torch.zeros(3, 2) > 0)
    energies = term(response)
    for p, row in enumerate(texts):
        for c, text in enumerate(row):
            torch.testing.assert_close(-energies[p, c : c + 1], own(model, tokenizer, PROMPTS[p], text), **CLOSE)
    if name == "bert":  # the types matter, or this would show nothing
        types = tokenizer(PROMPTS[0], texts[0][0], return_tensors="pt")
        with torch.no_grad():
            assert not torch.allclose(-energies[0, :1], model(input_ids=types.input_ids).logits[0], **CLOSE)


@pytest.mark.parametrize("name", MODELS)
def test_a_relaxed_answer_at_its_corner_is_the_second_segment(folders, name):
    folder, model, _ = folders[name]
    ids = random_ids(3, 2, 6, low=10)
    ids[1, 1, 3:] = EOS
    relaxed = dense(ids)
    relaxed.weights.requires_grad_()
    energy = term_of(folder)(relaxed)
    tokenizer = folders[name][2]
    for p, prompt in enumerate(PROMPTS):
        for c in range(2):
            content = [i for i in ids[p, c].tolist() if i != EOS]
            first = [BOS, *tokenizer(prompt, add_special_tokens=False).input_ids, EOS]
            row = torch.tensor([[*first, *content, EOS]])
            types = {"token_type_ids": torch.tensor([[0] * len(first) + [1] * (len(content) + 1)])}
            with torch.no_grad():
                expected = model(row, **(types if name in ("bert", "deberta") else {})).logits[0]
            torch.testing.assert_close(-energy[p, c : c + 1].detach(), expected, **CLOSE)
    (slope,) = torch.autograd.grad(energy.sum(), relaxed.weights)
    assert bool((slope.abs().sum(-1)[0, 0] > 0).all())


def test_a_pair_of_other_tokens_goes_through_the_bridge():
    tokenizer = made("wordpiece", ["[CLS]", "[SEP]"], bos="[CLS]", eos="[SEP]", around="[CLS] $A [SEP]")
    marks = [(mark, tokenizer.convert_tokens_to_ids(mark)) for mark in ("[CLS]", "[SEP]")]
    tokenizer._tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=marks
    )
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BertForSequenceClassification(BertConfig(vocab_size=len(tokenizer), **MORE)).eval()
    policy = tiny_policy()
    reader = ClassifierReader(model, shown_to(model, tokenizer, "rm", "pair"))
    scorer = BridgedScorer(reader, plain_bridge(reader, policy), context_of(policy))
    texts = [["the rain is over. ", "so warm"], ["No", "a wonderful thing"]]
    response = policy.from_text(texts, torch.zeros(2, 2) > 0)
    tapped = response.with_gradient_taps()
    outputs = scorer(tapped)
    for p, row in enumerate(texts):
        for c, text in enumerate(row):
            torch.testing.assert_close(outputs[p, c].detach(), own(model, tokenizer, PROMPTS[p], text), **CLOSE)
    slope = tapped.taps.gradient(outputs.sum()).over_vocabulary(0, policy.vocab_size)
    assert bool(slope.isfinite().all())
    assert bool(slope.abs().sum() > 0)
    for p, row in enumerate(texts):
        for text in row:
            placed, raw = reader.shown.placed(PROMPTS[p], text), text.encode()
            assert len(placed.ids) == len(placed.types) == len(placed.spans)
            assert all(kind == 1 for kind, (a, b) in zip(placed.types, placed.spans, strict=True) if a < b)
            written = b"".join(raw[a:b] for a, b in placed.spans)
            assert written.replace(b" ", b"") == raw.replace(b" ", b"")


def test_a_cross_encoder_says_so_in_its_config(folders):
    _, model, tokenizer = folders["bert"]
    assert shown_to(model, tokenizer, "rm").reads == "response"
    model.config.sentence_transformers = {"activation_fn": "torch.nn.modules.linear.Identity"}
    try:
        assert shown_to(model, tokenizer, "rm").reads == "pair"
        with pytest.raises(RecipeError, match="reads a pair"):
            shown_to(model, tokenizer, "rm", template_options={"a": 1})
    finally:
        del model.config.sentence_transformers


def test_a_long_prompt_loses_its_beginning_and_the_answer_keeps_its_place(folders):
    tokenizer = folders["bert"][2]
    prompt, answer = "all the leaves are on the ground now", "it rains"
    assert ShownPair(tokenizer, "rm", limit=14).row(prompt, answer) is None
    shown = ShownPair(tokenizer, "rm", limit=14, truncate=True).row(prompt, answer)
    whole = ShownPair(tokenizer, "rm").row(prompt, answer)
    inner = tokenizer(answer, add_special_tokens=False).input_ids
    assert len(shown.ids) <= 14
    assert shown.ids[-len(inner) - 1 :] == whole.ids[-len(inner) - 1 :] == [*inner, EOS]
    assert shown.ids[0] == BOS
    assert shown.types.count(1) == len(inner) + 1


def test_a_tokenizer_that_makes_no_pairs_is_refused():
    with pytest.raises(RecipeError, match="nothing between the two texts"):
        ShownPair(tiny_tokenizer(), "rm")


def test_responses_of_one_prompt_do_not_read_another(folders):
    term = term_of(folders["bert"][0])
    ids = random_ids(3, 2, 6, low=10)
    together = term(SoftResponse.from_ids(ids, (EOS,)))
    recipe = {"energies": [{"name": "reward", "model": str(folders["bert"][0]), "reads": "pair"}]}
    alone = problem_for(recipe=recipe, prompts=PROMPTS[:1], max_new_tokens=6).terms[0]
    torch.testing.assert_close(alone(SoftResponse.from_ids(ids[:1], (EOS,))), together[:1], **CLOSE)


def test_an_encoder_whose_folder_does_not_tell_says_that_it_reads_the_answer_alone(folders):
    told = [
        any('say reads = "pair"' in note for note in term_of(folders["bert"][0], **options).bound.warnings)
        for options in ({"reads": "auto"}, {"reads": "response"}, {})
    ]
    assert told == [True, False, False]
