"""`reward=` and `energies=` from Python: what they take, with which sign, and what is refused at once."""

from __future__ import annotations

import copy
import functools

import pytest
import torch
from transformers import LlamaForSequenceClassification

import sea_toolkit as sea
from sea_toolkit import api
from sea_toolkit.errors import RecipeError, SeaError
from sea_toolkit.runs.python_terms import read_terms
from sea_toolkit.testing.tiny import tiny_model, tiny_policy, tiny_reward, tiny_tokenizer
from tests.helpers import hub

SETTINGS = {"sampler": "best-of-n", "chains": 2, "steps": 1, "max_new_tokens": 6}


def align(**more):
    return sea.align("a", policy=tiny_policy(), hub=hub(), **{**SETTINGS, **more})


def lengths(prompts, texts):
    return [len(text) for text in texts]


def tokens(response):
    return response.expected_length()


class Scores(torch.nn.Module):
    """A reward of token embeddings, with a layer of its own."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.utils.skip_init(torch.nn.Linear, 32, 1)
        torch.nn.init.ones_(self.layer.weight)
        torch.nn.init.zeros_(self.layer.bias)

    def forward(self, response):
        return (self.layer(response.embed(tiny_policy().table))[..., 0] * response.content).sum(-1)


class Lengths(torch.nn.Module):
    def forward(self, texts):
        return torch.tensor([len(text) for text in texts])


@pytest.fixture(scope="module")
def classifier():
    config = copy.deepcopy(tiny_model("llama").config)
    config.num_labels = 3
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return LlamaForSequenceClassification(config).eval()


def trl(completions, **others):
    return [float(len(completion)) for completion in completions]


def trl_with_prompts(prompts, completions, **others):
    return [len(completion) + 0 * len(prompt) for prompt, completion in zip(prompts, completions, strict=True)]


LENGTHS = {
    "all texts": lengths,
    "texts first": lambda texts, prompts: lengths(prompts, texts),
    "texts alone": lambda texts: lengths(None, texts),
    "as TRL": trl,
    "as TRL, with prompts": trl_with_prompts,
    "by name alone": lambda *, texts: lengths(None, texts),
    "one text": lambda text: len(text),
    "prompt and text": lambda prompt, text: len(text),
    "one completion": lambda completion: torch.tensor(len(completion)),
    "a partial": functools.partial(lambda scale, texts: [scale * len(t) for t in texts], 1),
    "a module": Lengths(),
}


@pytest.mark.parametrize("form", LENGTHS)
def test_a_function_says_by_its_parameters_what_it_gets_and_higher_is_better(form):
    result = align(reward={"long": (8.0, LENGTHS[form])})
    assert result.rewards["long"] == (len(result.base_response), len(result.response))
    assert result.terms["long"][1] == -len(result.response)
    assert result.weights == {"reference": 1.0, "long": 8.0}


def test_a_reward_of_a_response_has_the_sign_of_a_reward_and_a_gradient():
    result = align(reward=tokens, sampler="tilted")
    assert result.rewards["tokens"] == (-result.terms["tokens"][0], -result.terms["tokens"][1])
    assert result.rewards["tokens"][1] > 0


def test_a_module_is_counted_and_told_in_the_manifest(tmp_path):
    module = Scores()
    result = align(reward=module, out=tmp_path / "run")
    assert result.ledger["models"]["own:Scores"]["forward"] > 0
    assert "own:Scores" in (tmp_path / "run" / "manifest.json").read_text()
    assert not any(p.requires_grad for p in module.parameters())
    assert result.rewards["Scores"][0] == align(energies={"x": module}).terms["x"][0]


def test_a_classifier_in_memory_is_read_as_one_from_a_folder(classifier, tmp_path):
    classifier.save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    table = {"model": str(tmp_path), "output": "LABEL_1", "weight": 2.0}
    named = align(reward={"rm": {**table, "label": "rm"}}, sampler="tilted", steps=2)
    for tokenizer in ({}, {"tokenizer": tiny_tokenizer()}):
        given = align(reward={"rm": {**table, "model": classifier, **tokenizer}}, sampler="tilted", steps=2)
        assert (given.response, given.rewards) == (named.response, named.rewards)
        assert any("came without a tokenizer" in note for note in given.notes) != bool(tokenizer)


def test_a_classifier_with_another_tokenizer_guides_through_a_bridge(classifier):
    other = tiny_tokenizer(100)
    result = align(reward={"rm": {"model": classifier, "tokenizer": other, "output": 1}}, sampler=None)
    assert result.sampler == "tilted"
    assert any("has a tokenizer of its own" in note for note in result.notes)
    ids = other.apply_chat_template(
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": result.response}], return_tensors="pt"
    )["input_ids"]
    with torch.no_grad():
        expected = classifier(input_ids=ids).logits[0, 1]
    assert result.rewards["rm"][1] == pytest.approx(float(expected), abs=1e-5)


def test_a_pipeline_is_its_model_and_its_tokenizer(classifier):
    from transformers import TextClassificationPipeline

    other = tiny_tokenizer(100)
    pipeline = TextClassificationPipeline(model=classifier, tokenizer=other, device="cpu")
    table = {"output": 1, "weight": 2.0}
    given = align(reward={"rm": {"model": classifier, "tokenizer": other, **table}})
    found = align(reward={"rm": {"model": pipeline, **table}})
    assert (found.response, found.rewards) == (given.response, given.rewards)
    with pytest.raises(RecipeError, match="3 outputs"):
        align(reward=pipeline)


class CrossEncoder(torch.nn.Module):
    """With the methods that those of sentence-transformers have."""

    def __init__(self, outputs=1):
        super().__init__()
        self.model, self.outputs = torch.nn.Linear(2, outputs), outputs

    def forward(self, features):
        return self.model(features)

    def predict(self, sentences, batch_size=32):
        lengths = torch.tensor([[len(first), len(second)] for first, second in sentences], dtype=torch.float32)
        return self(lengths).squeeze(-1).detach().numpy()

    def rank(self, query, documents):
        return []


def test_a_cross_encoder_is_asked_about_pairs_and_is_counted():
    encoder = CrossEncoder()
    result = align(reward=encoder)
    expected = encoder.predict([("a", result.response)])[0]
    assert result.rewards["CrossEncoder"][1] == pytest.approx(float(expected))
    assert result.ledger["models"]["own:CrossEncoder"]["forward"] > 0
    assert result.sampler == "best-of-n"
    with pytest.raises(SeaError, match=r"numbers of shape \[2, 3\] for 2 texts"):
        align(reward=CrossEncoder(outputs=3))


def test_names_functions_and_weights_may_stand_in_one_list():
    terms = read_terms(["sentiment", lengths, (2.0, lengths), (3.0, "toxicity"), lambda text: 1])
    assert terms.rewards == {"sentiment": 1.0, "toxicity": 3.0}
    assert {label: weight for label, (weight, _) in terms.own.items()} == {
        "lengths": 1.0,
        "lengths#2": 2.0,
        "reward": 1.0,
    }


def test_options_of_an_energy_or_a_reward_may_stand_in_the_place_of_a_function():
    terms = read_terms(
        {"rm": {"output": "pos", "weight": 2}, "mood": (3.0, "sentiment")},
        {"length": {"target": 5}, "short": (2.0, {"name": "length", "target": 3}), "mine": lengths},
    )
    assert terms.tables == [
        {"name": "reward", "model": "rm", "output": "pos", "weight": 2},
        {"name": "reward", "model": "sentiment", "label": "mood", "weight": 3.0},
        {"name": "length", "target": 5},
        {"name": "length", "target": 3, "label": "short", "weight": 2.0},
    ]
    assert list(terms.own) == ["mine"]
    assert align(energies={"length": {"target": 5.0}}).terms.keys() == {"reference", "length"}


def test_a_weight_may_be_a_schedule():
    table = {"schedule": "linear", "start": 1.0, "end": 3.0}
    assert align(reward={"long": (table, lengths)}).weights["long"] == 3.0
    with pytest.raises(RecipeError, match="reacts to the run"):
        align(reward={"long": ({"schedule": "plateau", "start": 1.0}, lengths)})


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        ({"x": (lengths, 8.0)}, r"reward\['x'\] is \(lengths, 8.0\)\nexpected: the weight first"),
        ((lengths, 8.0), "expected: the weight first"),
        (8.0, "reward is 8.0"),
        ({"x": "8"}, r"the text '8'(.|\n)*try: {\"x\": 8.0}"),
        ({"x": ("8", lengths)}, "the weight of reward.* is '8'"),
        ({"x": (float("nan"), lengths)}, "expected: a finite number"),
        ({"x": (True, lengths)}, "is True"),
        ({"x": True}, "is True"),
        ({"x": [lengths, lengths]}, r"\[lengths, lengths\](.|\n)*a label for each"),
        ({"x": (1.0, lengths, 2.0)}, "reward"),
        ("sentiment=8", r'try: reward={"sentiment": 8.0}'),
        ({"x": "sentiment"}, r'{"x": \(8.0, "sentiment"\)}'),
        ({1: lengths}, "the label 1"),
        ({"x": None}, "is None"),
        (Scores, r"the class Scores\nexpected: an object: Scores\(…\)"),
        (tiny_reward(), "an energy: lower is better"),
        (tiny_model(), "a language model"),
        (lambda a, b: 1, "nothing gives 'b'"),
        (lambda: 1, "does not read the answer"),
        (lambda prompts: 1, "does not read the answer"),
        (lambda prompt, texts: 1, "asks for one text and for all of them"),
        (lambda completions, trainer_state: 1, "nothing gives 'trainer_state'"),
        (max, "does not say which parameters"),
        ({lengths}, "reward is"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_reward_is_refused_before_anything_is_loaded(reward, message):
    with pytest.raises(RecipeError, match=message):
        read_terms(reward)


@pytest.mark.parametrize(
    ("energies", "message"),
    [
        ({"x": (lengths, 1.0)}, "the weight first"),
        (lengths, "energies is lengths"),
        ([lengths], r"energies is \[lengths\]"),
        ("length", 'energies={"length": {"target": 40}}'),
        ({"length": 2.0}, "is 2.0"),
        ({"x": "length"}, "is 'length'"),
        ({"length": (2.0, {"weight": 1.0})}, "two weights"),
        ({"x": [lengths, lengths]}, "a label for each"),
    ],
)
def test_a_mistake_in_the_energies_is_refused_before_anything_is_loaded(energies, message):
    with pytest.raises(RecipeError, match=message):
        read_terms(None, energies)


def test_two_terms_of_one_label_and_a_classifier_as_an_energy_are_refused(classifier):
    with pytest.raises(RecipeError, match="has the label 'x' too"):
        read_terms({"x": lengths}, {"x": lengths})
    with pytest.raises(RecipeError, match="gives a reward"):
        read_terms(None, {"x": classifier})
    with pytest.raises(RecipeError, match="did you mean 'output'"):
        read_terms({"x": {"model": classifier, "outputs": 1}})
    with pytest.raises(RecipeError, match="3 outputs\nexpected: output = one of"):
        align(reward=classifier)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda t: len(t), r"no len\(\)(.|\n)*'t' is\ntry: a function of texts names its parameters"),
        (lambda texts: 3, r"returned 3 \(an int\) for 2 texts(.|\n)*expected: 2 numbers(.|\n)*one text names its"),
        (lambda texts: [None, None], r"returned \[None, None\] \(a list\) for 2 texts"),
        (lambda texts: [1.0], r"shape \[1\] for 2 texts"),
        (lambda text: None, "returned None for the text"),
        (lambda response: 3.0, "returned a float at the start\n(.|\n)*compute with tensors"),
        (lambda response: response.alive, r"returned a tensor \[1, 2, \d+\]"),
        (lambda response: response.alive.sum(), r"returned a tensor \[\](.|\n)*dimensions 0 and 1"),
    ],
)
def test_what_a_function_returns_is_told_in_its_own_terms(function, message):
    with pytest.raises(SeaError, match=message):
        align(reward=function)


def test_a_run_with_rewards_from_python_is_resumed_with_them_again(tmp_path):
    terms = {"reward": {"long": (2.0, lengths)}, "energies": {"length": {"target": 5.0}}}
    first = align(**terms, out=tmp_path)
    (again,) = api.resume(tmp_path, policy=tiny_policy(), hub=hub(), **terms)
    assert (again.response, again.rewards) == (first.response, first.rewards)
    for other in ({"reward": {"longer": lengths}}, {**terms, "energies": {"length": {"target": 6.0}}}):
        with pytest.raises(RecipeError, match="the run"):
            api.resume(tmp_path, policy=tiny_policy(), hub=hub(), **other)
