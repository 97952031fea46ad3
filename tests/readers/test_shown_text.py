"""A reward is the reward model's own forward on the text that its user would give it, whatever its tokenizer."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModelForSequenceClassification, LlamaConfig, LlamaForCausalLM

from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.evaluation.judges import Judge
from sea_toolkit.lm.policy import Policy
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.readers.shown_text import ShownText
from tests.conventions.tokenizers import KINDS, made
from tests.helpers import hub, problem_for

CHATML = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
TRIMMING = CHATML.replace("m['content']", "m['content'] | trim")
PROMPTS = ["Tell me about rain. ", "Why?"]
ANSWERS = ["Rain falls from the clouds.", " Yes, it is.", "the wind; ", "No", "1, 2, 3\n"]
SPECIAL = ("<s>", "</s>", "<|user|>", "<|assistant|>")
CASES = [
    (kind, reads, template)
    for kind in KINDS
    for reads, template in (("response", None), ("prompt+response", None), ("chat", CHATML), ("chat", TRIMMING))
]


def pair(kind, template, tmp_path):
    """A policy and the folder of a classifier with the same tokenizer."""
    tokenizer = made(kind, SPECIAL, around="<s> $A" if "spm" in kind else "", template=template)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    config = LlamaConfig(vocab_size=len(tokenizer), initializer_range=0.2, num_labels=1, **sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        policy = LlamaForCausalLM(config)
        reward = AutoModelForSequenceClassification.from_config(config)
    reward.save_pretrained(tmp_path / "rm")
    tokenizer.save_pretrained(tmp_path / "rm")
    return Policy(policy, tokenizer, template="plain"), reward.eval(), tokenizer


def by_hand(reward, tokenizer, reads, prompt, answer):
    """What transformers says of the rendered text."""
    if reads == "chat":
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
        ids = tokenizer(tokenizer.apply_chat_template(turns, tokenize=False), add_special_tokens=False).input_ids
    elif reads == "prompt+response":
        between = "" if answer[0].isspace() else " "
        ids = tokenizer(prompt.rstrip() + between + answer).input_ids
    else:
        ids = tokenizer(answer).input_ids
    with torch.no_grad():
        return float(reward(input_ids=torch.tensor([ids])).logits[0, 0])


@pytest.mark.parametrize(("kind", "reads", "template"), CASES)
def test_energy_judge_and_transformers_agree(kind, reads, template, tmp_path):
    policy, reward, tokenizer = pair(kind, template, tmp_path)
    recipe = {"energies": [{"name": "reward", "model": str(tmp_path / "rm"), "reads": reads}]}
    problem = problem_for(recipe=recipe, prompts=PROMPTS, policy=policy, max_new_tokens=24, sampler="best-of-n")
    texts = [ANSWERS, ANSWERS]
    finished = torch.zeros(2, len(ANSWERS), dtype=torch.bool)
    finished[:, ::2] = True
    response = policy.from_text(texts, finished)
    expected = [[by_hand(reward, tokenizer, reads, prompt, answer) for answer in ANSWERS] for prompt in PROMPTS]
    term = problem.terms[0]
    with torch.no_grad():
        torch.testing.assert_close(-term.of_text(response, PROMPTS, texts), torch.tensor(expected), atol=1e-4, rtol=0)
    tapped = response.with_gradient_taps()
    value = term(tapped)
    torch.testing.assert_close(-value.detach(), torch.tensor(expected), atol=1e-4, rtol=0)
    slope = tapped.taps.gradient(value.sum())
    assert float(slope.grads[0].abs().sum()) > 0
    judge = Judge({"model": str(tmp_path / "rm"), "reads": reads}, ModelFinder(hub()))
    judge.load(policy, PROMPTS, 24)
    for prompt, row in zip(PROMPTS, expected, strict=True):
        assert judge.score([prompt] * len(ANSWERS), ANSWERS, [True] * len(ANSWERS)) == pytest.approx(row, abs=1e-4)


def test_a_gradient_road_that_differs_says_by_how_much(tmp_path):
    policy, *_ = pair("spm-legacy", CHATML, tmp_path)
    recipe = {"energies": [{"name": "reward", "model": str(tmp_path / "rm"), "reads": "prompt+response"}]}
    term = problem_for(recipe=recipe, prompts=PROMPTS[:1], policy=policy, max_new_tokens=12, sampler="tilted").terms[0]
    assert list(term.bound.warnings) == []
    texts = [["Rain falls from the clouds."]]
    term(policy.from_text(texts, torch.ones(1, 1, dtype=torch.bool)).with_gradient_taps())
    (note,) = term.bound.warnings
    assert "rm reads answers as part of the whole text" in note
    assert float(note.split()[-2]) > 1e-4


def test_what_cannot_be_shown_is_an_error_with_a_way_out():
    bare = made("byte-bpe")
    with pytest.raises(ModelError, match="no chat template"):
        ShownText(bare, "rm", "chat")
    with pytest.raises(RecipeError, match="template_options for rm, which reads 'response'"):
        ShownText(bare, "rm", "response", template_options={"a": 1})
    refusing = made("byte-bpe", SPECIAL, template="{{ raise_exception('a system message is required') }}")
    with pytest.raises(ModelError, match="a system message is required") as caught:
        ShownText(refusing, "rm").text("hi", "there")
    assert "reads = " in caught.value.hint


def test_template_options_reach_the_template():
    shown = ShownText(
        made("byte-bpe", SPECIAL, template="{% if loud %}!{% endif %}" + CHATML), "rm", template_options={"loud": True}
    )
    assert shown.text("hi", "there").startswith("!<|user|>")


def test_a_prompt_that_is_too_long_is_shortened_or_refused():
    tokenizer = made("byte-bpe")
    text = "the rain in the town and the wind in the sky "
    short = ShownText(tokenizer, "rm", "prompt+response", limit=12, truncate=True)
    ids = short.ids(text, "falls")
    assert len(ids) <= 12
    assert tokenizer.decode(ids).endswith("falls")
    assert ShownText(tokenizer, "rm", "prompt+response", limit=12).ids(text, "falls") is None
    with pytest.raises(RecipeError, match="prompt 1 has"):
        ShownText(tokenizer, "rm", "prompt+response", limit=12).frames([text], 4)
