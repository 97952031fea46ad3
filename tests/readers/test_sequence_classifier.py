"""Sequence-classification models as rewards and classifiers: the same numbers as transformers gives for the ids."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2ForSequenceClassification,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
)

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.testing.tiny import EOS, PAD, tiny_config, tiny_model, tiny_tokenizer
from tests.helpers import PROMPTS, dense, problem_for, random_ids, sparse, tiny_policy
from tests.models.folders import edit_config

LABELS = {0: "bad", 1: "good", 2: "neutral"}
CLOSE = {"rtol": 1e-4, "atol": 2e-4}


def wrapping(tokenizer: PreTrainedTokenizerFast, single: str) -> PreTrainedTokenizerFast:
    """The tokenizer, wrapping each text in special tokens as BERT's does."""
    from tokenizers.processors import TemplateProcessing

    tokenizer._tokenizer.post_processor = TemplateProcessing(
        single=single, special_tokens=[("<bos>", 1), ("<eos>", 2), ("<pad>", 0)]
    )
    return tokenizer


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of tiny classifiers, and the models themselves."""
    root, made = tmp_path_factory.mktemp("classifiers"), {}

    def add(name, kind, config, tokenizer, labels=3):
        config.num_labels = labels
        if labels == 3:
            config.id2label, config.label2id = LABELS, {v: k for k, v in LABELS.items()}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(len(made))
            model = kind(config).eval()
        model.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
        made[name] = (root / name, model, tokenizer)

    def plain():
        tokenizer = tiny_tokenizer()
        tokenizer.chat_template = None
        return tokenizer

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    bert = {"vocab_size": 128, "pad_token_id": PAD, "max_position_embeddings": 128, **sizes, "initializer_range": 0.15}
    llama = {"initializer_range": 0.15}
    add("llama", LlamaForSequenceClassification, tiny_config("llama", **llama), tiny_tokenizer())
    add("llama-bos", LlamaForSequenceClassification, tiny_config("llama", **llama), wrapping(plain(), "<bos> $A"))
    add("gpt2", GPT2ForSequenceClassification, tiny_config("gpt2", **llama), plain())
    add("reward", LlamaForSequenceClassification, tiny_config("llama", **llama), tiny_tokenizer(), labels=1)
    bert_tokenizer = wrapping(plain(), "<bos> $A <eos>")
    add("bert", BertForSequenceClassification, BertConfig(**bert), bert_tokenizer)
    add("bert-tail", BertForSequenceClassification, BertConfig(**bert), wrapping(plain(), "$A <eos>"))
    return made


def energy_of(models, name, kind="reward", prompts=PROMPTS, **options):
    folder = str(models[name][0])
    options = ({"output": "good"} if kind == "reward" and name != "reward" else {}) | options
    problem = problem_for(
        recipe={"energies": [{"name": kind, "model": folder, **options}]}, prompts=prompts, max_new_tokens=6
    )
    return problem.terms[0]


def native(models, name, text_ids):
    """Logits of one unpadded sequence of ids."""
    with torch.no_grad():
        return models[name][1](input_ids=torch.tensor([text_ids])).logits[0]


def expected_ids(models, name, reads, prompt, content):
    tokenizer = models[name][2]
    if reads == "chat":
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": "@@"}]
        before, after = tokenizer.apply_chat_template(turns, tokenize=False).split("@@")
        return [*tokenizer(before).input_ids, *content, *tokenizer(after).input_ids]
    middle = tokenizer(prompt, add_special_tokens=False).input_ids if reads == "prompt+response" else []
    before = {"llama-bos": [1], "bert": [1]}.get(name, [])
    after = {"bert": [2], "bert-tail": [2]}.get(name, [])
    return [*before, *middle, *content, *after]


def responses():
    """Rows of different length: unfinished, finished, one token, and empty."""
    ids = random_ids(3, 4, 6, low=10)
    ids[0, 0, 4:] = EOS
    ids[1, 2, 1:] = EOS
    ids[2, 3, 0:] = EOS
    return ids


CASES = [
    ("llama", "response"), ("llama", "prompt+response"), ("llama", "chat"),
    ("llama-bos", "response"), ("llama-bos", "prompt+response"),
    ("gpt2", "response"), ("gpt2", "prompt+response"),
    ("bert", "response"), ("bert", "prompt+response"), ("bert-tail", "response"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "reads"), CASES)
@pytest.mark.parametrize("form", ["hard", "dense", "sparse"])
def test_a_response_scores_as_transformers_scores_its_ids(models, name, reads, form):
    term = energy_of(models, name, reads=reads)
    ids = responses()
    response = {
        "hard": lambda: SoftResponse.from_ids(ids, (EOS,)),
        "dense": lambda: dense(ids),
        "sparse": lambda: sparse(ids),
    }
    found = -term(response[form]())
    for p, prompt in enumerate(PROMPTS):
        for c in range(4):
            content = [t for t in ids[p, c].tolist() if t != EOS]
            text = expected_ids(models, name, reads, prompt, content)
            if not text:
                assert found[p, c].isfinite()  # nothing to read at all: some number, and no neighbor's
                continue
            expected = native(models, name, text)[1]
            torch.testing.assert_close(found[p, c], expected, **CLOSE)


@pytest.mark.parametrize(("name", "reads"), CASES)
def test_the_response_has_a_gradient(models, name, reads):
    term = energy_of(models, name, reads=reads)
    weights = torch.nn.functional.one_hot(responses(), 128).float().requires_grad_()
    response = SoftResponse.from_weights(weights, None, (EOS,))
    (gradient,) = torch.autograd.grad(term(response).sum(), weights)
    assert gradient.isfinite().all()
    inside = response.content.detach() > 0.5
    assert (gradient.abs().sum(-1)[inside] > 0).all()


def test_auto_takes_the_chat_template_where_there_is_one(models):
    ids = SoftResponse.from_ids(responses(), (EOS,))
    assert torch.equal(energy_of(models, "llama")(ids), energy_of(models, "llama", reads="chat")(ids))
    assert torch.equal(energy_of(models, "gpt2")(ids), energy_of(models, "gpt2", reads="response")(ids))


def test_outputs_by_label_index_and_alone(models):
    ids = SoftResponse.from_ids(responses(), (EOS,))
    by = {o: energy_of(models, "llama", output=o)(ids) for o in ("bad", "good", 0, 1)}
    assert torch.equal(by["bad"], by[0])
    assert torch.equal(by["good"], by[1])
    assert not torch.equal(by[0], by[1])
    assert energy_of(models, "reward")(ids).shape == (3, 4)
    with pytest.raises(RecipeError, match="good"):
        energy_of(models, "llama", output="goood")
    with pytest.raises(RecipeError, match="no output 7"):
        energy_of(models, "llama", output=7)
    with pytest.raises(RecipeError, match="3 outputs"):
        energy_of(models, "llama", output=None)


def test_classifier_is_minus_log_probability(models):
    ids = responses()
    term = energy_of(models, "llama", kind="classifier", target="good")
    content = ids[0, 1].tolist()
    expected = -native(models, "llama", content).log_softmax(-1)[1]
    found = term(SoftResponse.from_ids(ids, (EOS,)))
    torch.testing.assert_close(found[0, 1], expected, **CLOSE)
    single = energy_of(models, "reward", kind="classifier", target=0)(SoftResponse.from_ids(ids, (EOS,)))
    odds = native(models, "reward", content)[0]
    torch.testing.assert_close(single[0, 1], -torch.nn.functional.logsigmoid(odds), **CLOSE)
    assert term.label == "llama:good"
    assert not term.is_reward


def test_each_label_of_a_multi_label_classifier_counts_by_itself(models, tmp_path):
    """unitary/toxic-bert and others: sigmoids, not a softmax."""
    _, model, tokenizer = models["llama"]
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    edit_config(tmp_path, problem_type="multi_label_classification")
    ids = responses()
    term = energy_of({"many": (tmp_path,)}, "many", kind="classifier", target="good")
    expected = -torch.nn.functional.logsigmoid(native(models, "llama", ids[0, 1].tolist())[1])
    torch.testing.assert_close(term(SoftResponse.from_ids(ids, (EOS,)))[0, 1], expected, **CLOSE)


def test_weighed_outputs_are_one_reward_with_a_gradient(models):
    ids = responses()
    options = {"output": {"good": 0.5, "bad": -2.0}, "activation": "sigmoid", "reads": "response"}
    term = energy_of(models, "llama", **options)
    logits = native(models, "llama", ids[0, 1].tolist()).sigmoid()
    weights = torch.nn.functional.one_hot(ids, 128).float().requires_grad_()
    energy = term(SoftResponse.from_weights(weights, None, (EOS,)))
    torch.testing.assert_close(-energy[0, 1].detach(), 0.5 * logits[1] - 2.0 * logits[0], **CLOSE)
    assert bool(torch.autograd.grad(energy.sum(), weights)[0].abs().sum() > 0)
    assert term.label == "llama"


def test_prompts_are_scored_alike_alone_and_together(models):
    ids = responses()
    together = energy_of(models, "bert", reads="prompt+response")(SoftResponse.from_ids(ids, (EOS,)))
    for p, prompt in enumerate(PROMPTS):
        one = energy_of(models, "bert", reads="prompt+response", prompts=[prompt])
        torch.testing.assert_close(one(SoftResponse.from_ids(ids[p : p + 1], (EOS,)))[0], together[p], **CLOSE)


def test_a_bare_language_model_is_refused(tmp_path):
    tiny_model().save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"lacks weights: score.weight"):
        energy_of({"lm": (tmp_path,)}, "lm", output=None)


def test_damaged_weights_are_named(tmp_path, models):
    model = models["reward"][1]
    model.save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ModelError, match="are not whole"):
        energy_of({"cut": (tmp_path,)}, "cut", output=None)


def test_ledger_counts_the_classifier(models):
    problem = problem_for(
        recipe={"energies": [{"name": "reward", "model": str(models["reward"][0]), "reads": "response"}]},
        max_new_tokens=6,
    )
    problem.terms[0](SoftResponse.from_ids(random_ids(1, 2, 6), (EOS,)))
    counted = problem.ledger.models["reward:reward"]
    assert counted.forward == 12 + 2  # the head reads each answer once
    assert counted.backward == 0
    (announced,) = problem.terms[0].meter.models
    body = announced.module.model.layers
    weights = sum(p.numel() for part in (body, announced.module.model.norm) for p in part.parameters())
    assert counted.flops == 2.0 * (12 * weights + 2 * announced.module.score.weight.numel())


def test_the_policy_is_not_changed_by_a_reward_of_its_kind(models):
    before = {k: v.clone() for k, v in tiny_policy().model.state_dict().items()}
    energy_of(models, "reward")(SoftResponse.from_ids(responses(), (EOS,)))
    assert all(torch.equal(v, before[k]) for k, v in tiny_policy().model.state_dict().items())


def test_two_outputs_of_a_reward_are_loaded_once_and_called_by_their_names(models, monkeypatch):
    from sea_toolkit.readers import classifiers
    from sea_toolkit.readers.sequence_classifier import ClassifierReader

    loads, real = [], classifiers.load_classifier

    def counted(*args, **options):
        loads.append(args)
        return real(*args, **options)

    monkeypatch.setattr(classifiers, "load_classifier", counted)
    folder = str(models["llama"][0])
    energies = [{"name": "reward", "model": folder, "output": output} for output in ("good", "bad", 2)]
    energies.append({"name": "classifier", "model": folder, "target": "good", "reads": "chat"})
    problem = problem_for(recipe={"energies": energies}, max_new_tokens=6)
    assert [t.label for t in problem.terms] == ["good", "bad", "llama:2", "llama:good"]
    assert len(loads) == 1
    runs, run = [], ClassifierReader._decoder
    monkeypatch.setattr(ClassifierReader, "_decoder", lambda *args: runs.append(1) or run(*args))
    response = dense(random_ids(1, 2, 6))
    with torch.no_grad():
        values = [t.bound.energy(response) for t in problem.terms]
    assert len(runs) == 1
    other = dense(random_ids(1, 2, 6, seed=1))
    alone = energy_of(models, "llama", output="bad", prompts=PROMPTS[:1])
    with torch.no_grad():
        torch.testing.assert_close(values[1], alone.bound.energy(response))
        torch.testing.assert_close(problem.terms[1].bound.energy(other), alone.bound.energy(other))


def test_two_outputs_give_gradients_of_their_own(models):
    folder = str(models["llama"][0])
    energies = [{"name": "reward", "model": folder, "output": output} for output in ("good", "bad")]
    problem = problem_for(recipe={"energies": energies}, max_new_tokens=6)
    weights = torch.rand(1, 2, 6, 128, generator=torch.Generator().manual_seed(0)).softmax(-1).requires_grad_()
    response = SoftResponse.from_weights(weights, None, (EOS,))
    slopes = [torch.autograd.grad(t.bound.energy(response).sum(), weights)[0] for t in problem.terms]
    assert not torch.allclose(slopes[0], slopes[1])


def two_outputs(models, **options):
    folder = str(models["llama"][0])
    return [{"name": "reward", "model": folder, "output": output, **options} for output in ("good", "bad")]


def test_two_outputs_share_one_pass_where_each_has_its_own_gradient(models):
    both = problem_for(recipe={"energies": two_outputs(models)}, max_new_tokens=6)
    alone = [problem_for(recipe={"energies": [term]}, max_new_tokens=6) for term in two_outputs(models)]
    ids = random_ids(1, 3, 6, low=10)
    for problem in (both, *alone):
        problem.ledger.models.pop("reward:llama", None)
    found, expected = (problem.score_as_text(ids, gradients=True) for problem in (both, alone[0]))
    second = alone[1].score_as_text(ids, gradients=True)
    pairs = zip(found.token_gradients, [*expected.token_gradients, *second.token_gradients], strict=True)
    for shared, own in pairs:
        assert torch.equal(shared.over_vocabulary(2, 128), own.over_vocabulary(2, 128))
    assert torch.equal(found.energies.terms["bad"], second.energies.terms["bad"])
    spent, one = both.ledger.models["reward:llama"], alone[0].ledger.models["reward:llama"]
    assert spent.forward == one.forward
    assert spent.backward == 2 * one.backward > 0
    assert spent.flops == one.flops * 3 / 2  # one pass forward and two back, where one of each has been two
    first, second = both.terms
    assert (second.meter.flops_per_token, second.meter.flops_back) == (0.0, first.meter.flops_back)


def test_two_outputs_share_one_pass_forward_and_back_where_their_sum_is_differentiated(models, monkeypatch):
    from sea_toolkit.readers.sequence_classifier import ClassifierReader

    runs, run = [], ClassifierReader._decoder
    monkeypatch.setattr(ClassifierReader, "_decoder", lambda *args: runs.append(1) or run(*args))
    problem = problem_for(recipe={"energies": two_outputs(models)}, max_new_tokens=6)
    weights = torch.rand(1, 2, 6, 128, generator=torch.Generator().manual_seed(0)).softmax(-1).requires_grad_()
    response = SoftResponse.from_weights(weights, None, (EOS,))
    runs.clear()
    (together,) = torch.autograd.grad(sum(t(response).sum() for t in problem.terms), weights)
    assert len(runs) == 1
    apart = [torch.autograd.grad(t(response).sum(), weights)[0] for t in problem.terms]
    assert len(runs) == 3  # the graph goes with the pass back, and the response is read again
    torch.testing.assert_close(together, sum(apart))


def test_a_reading_and_its_graph_go_with_the_response(models, monkeypatch):
    import weakref

    from sea_toolkit.readers.sequence_scorer import SequenceScorer

    made, read = [], SequenceScorer.outputs

    def outputs(self, response):
        found = read(self, response)
        made.append(weakref.ref(found))
        return found

    monkeypatch.setattr(SequenceScorer, "outputs", outputs)
    (term,) = problem_for(recipe={"energies": two_outputs(models)[:1]}, max_new_tokens=6).terms
    response = dense(random_ids(1, 2, 6)).with_gradient_taps()
    term(response)
    assert made[0]() is not None
    del response
    assert made[0]() is None


def test_a_reward_may_have_a_dtype_of_its_own(models):
    ids = random_ids(1, 3, 6, low=10)
    slopes, values = {}, {}
    for dtype in ("float32", "bfloat16"):
        problem = problem_for(
            recipe={"energies": [{"name": "reward", "model": str(models["reward"][0]), "dtype": dtype}]},
            max_new_tokens=6,
        )
        (announced,) = problem.terms[0].meter.models
        assert announced.module.model.layers[0].mlp.up_proj.weight.dtype == getattr(torch, dtype)
        scored = problem.score_as_text(ids, gradients=True)
        values[dtype] = scored.energies.total
        slopes[dtype] = scored.token_gradients[0].over_vocabulary(1, 128)
    assert not torch.equal(values["float32"], values["bfloat16"])
    torch.testing.assert_close(values["bfloat16"], values["float32"], rtol=0.05, atol=0.1)
    likeness = torch.nn.functional.cosine_similarity(slopes["float32"], slopes["bfloat16"], -1)
    assert float(likeness.min()) > 0.98


@pytest.mark.parametrize("name", ["llama", "bert"])
def test_a_batch_bounds_what_is_read_at_once(models, name):
    ids = random_ids(1, 5, 6, low=10)
    terms = [energy_of(models, name, batch=batch) for batch in (None, 2)]
    widest = []
    terms[1].meter.models[0].module.register_forward_pre_hook(
        lambda module, args, given: widest.append(len(given["inputs_embeds"])), with_kwargs=True
    )
    whole, parts = (term(dense(ids.expand(len(PROMPTS), -1, -1))) for term in terms)
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-5)
    if name == "bert":
        assert len(widest) == 5
        assert max(widest) <= max(2, len(PROMPTS))


def test_a_device_that_is_not_there_is_refused(models):
    with pytest.raises(RecipeError, match="device 'cuda:7' cannot be used"):
        energy_of(models, "reward", device="cuda:7")
    with pytest.raises(RecipeError, match="it holds shapes and no numbers"):
        energy_of(models, "reward", device="meta")
