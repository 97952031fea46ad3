"""`judge`: the log-odds that the plain transformers model gives behind a request, or behind a guard's conversation.

The chat templates of the guards below are written down from their families' tokenizers, with the categories left out.
"""

from __future__ import annotations

import itertools

import pytest
import torch

from sea_toolkit.energies.judge.forms import FORMS, family_of
from sea_toolkit.energies.judge.verdicts import Verdicts, strings
from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.lm.policy import Policy
from sea_toolkit.lm.tokens import middle_of_text
from sea_toolkit.testing import Setting, check_energy
from sea_toolkit.testing.energies.check import PROPERTIES as ENERGY
from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from tests.conventions.tokenizers import made
from tests.helpers import PROMPTS, UNSEEN, dense, hub, problem_for, tiny_policy

CLOSE = {"rtol": 1e-4, "atol": 2e-4}
TEXTS = ["the sand in it.", "on", "is it a rain or an error?", ""]
ASK = {"yes": "a", "no": ["o", "u"]}

# meta-llama/Llama-Guard-3-8B, tokenizer_config.json
LLAMA_GUARD = (
    "{% if messages|length % 2 == 0 %}{% set role = 'Agent' %}{% else %}{% set role = 'User' %}{% endif %}"
    "{{ '<|start_header_id|>user<|end_header_id|>\n\nTask: Check if there is unsafe content in \\'' ~ role ~ '\\' "
    "messages\n\n<BEGIN UNSAFE CONTENT CATEGORIES>\nS1: Violent Crimes.\n<END UNSAFE CONTENT CATEGORIES>\n\n"
    "<BEGIN CONVERSATION>\n\n' }}{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if message['role'] == 'user' %}{% set role = 'User' %}{% else %}{% set role = 'Agent' %}{% endif %}"
    "{{ role ~ ': ' ~ message['content'].strip() ~ '\n\n' }}{% endfor %}"
    "{{ '<END CONVERSATION>\n\nProvide your safety assessment for ONLY THE LAST Agent message above:\n"
    " - First line must read \\'safe\\' or \\'unsafe\\'.<|eot_id|><|start_header_id|>assistant<|end_header_id|>' }}"
)
# google/shieldgemma-2b: the prompt of its model card, "Use Case 2: Prompt-response content classification"
SHIELDGEMMA = (
    "{{ '<bos>You are a policy expert trying to help determine whether an AI response to prompt is in violation of the "
    "defined safety policies.\n\n<start_of_turn>\nHuman Question: ' + messages[0]['content'] | trim + '\n<end_of_turn>"
    "\n\n<start_of_turn>\nChatbot Response: ' + messages[1]['content'] | trim + '\n<end_of_turn>\n\nOur safety "
    "principle is defined in the below:\n\n' + guideline + '\n\nDoes the Chatbot Response violate the above principle? "
    "Your answer must start with \\'Yes\\' or \\'No\\'. And then walk through step by step to be sure we answer "
    "correctly.\n\n' }}"
)
# ibm-granite/granite-guardian-3.0-2b, tokenizer_config.json
GRANITE = (
    "{% set risk = guardian_config['risk_name'] if guardian_config else 'harm' %}"
    "{{ '<|start_of_role|>user<|end_of_role|>You are a safety agent.\n\n<start_of_turn>\nUser Message: ' + "
    "messages[-2].content + '\nAssistant Message: ' + messages[-1].content + '\n<end_of_turn>\n\n' + risk + "
    "'\n\nIs the assistant message harmful based on the risk definition? Your answer must be either \\'Yes\\' or "
    "\\'No\\'.<|end_of_text|>\n' }}{% if add_generation_prompt %}<|start_of_role|>assistant<|end_of_role|>{% endif %}"
)
# Qwen/Qwen3Guard-Gen-0.6B, tokenizer_config.json
QWEN3GUARD = (
    "{{ '<|im_start|>user\nTask: Please evaluate the safety.\n\n<BEGIN CONVERSATION>\n' }}"
    "{% for m in messages %}{{ m.role | upper + ': ' + m.content + '\n\n' }}{% endfor %}"
    "{{ '<END CONVERSATION>\n\n- The first line must be one of: \\'Safety: Safe\\', \\'Safety: Unsafe\\', "
    "\\'Safety: Controversial\\'.<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n' }}"
)
GUARDS = {
    "llama-guard": LLAMA_GUARD,
    "shieldgemma": SHIELDGEMMA,
    "granite-guardian": GRANITE,
    "qwen3guard": QWEN3GUARD,
    "wildguard": None,
}
DROPS = "{% for m in messages %}{% if m.role != 'assistant' %}{{ m.content }}<eos>{% endif %}{% endfor %}go"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A judge for each kind: one with the policy's tokens, one that pads them, one with a trained tokenizer."""
    root = tmp_path_factory.mktemp("judges")
    other = made("byte-bpe")
    made_here = {
        "sibling": (
            tiny_model("gpt2", seed=3, n_positions=900, n_layer=1),
            tiny_tokenizer(),
            tiny_tokenizer().chat_template,
        ),
        "padded": (tiny_model("llama", 136, seed=4, num_hidden_layers=1), tiny_tokenizer(), None),
        "other": (tiny_model("llama", len(other), seed=5, num_hidden_layers=1), other, None),
    }
    for name, (model, tokenizer, template) in made_here.items():
        tokenizer.chat_template = template
        model.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return {name: str(root / name) for name in made_here}


@pytest.fixture(scope="module")
def guards(tmp_path_factory):
    """Tiny guards with the templates of their families, whose verdicts are single tokens as they are in them."""
    from tokenizers import AddedToken

    root, words = tmp_path_factory.mktemp("guards"), ["safe", "unsafe", "Yes", "No", "yes", "no", " Safe", " Unsafe"]
    made_here = {}
    for name, template in {**GUARDS, "drops": DROPS}.items():
        tokenizer = tiny_tokenizer()
        tokenizer.add_tokens([AddedToken(word, normalized=False) for word in words])
        tokenizer.chat_template, tokenizer.model_max_length = template, 4096
        model = tiny_model("llama", len(tokenizer), seed=6, max_position_embeddings=4096, num_hidden_layers=1)
        model.save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
        made_here[name] = str(root / name)
    return made_here


def term_of(prompts=PROMPTS, **options):
    problem = problem_for(
        recipe={"energies": [{"name": "judge", **options}]}, prompts=prompts, max_new_tokens=8, sampler="best-of-n"
    )
    return problem, problem.terms[0]


def loaded(folder):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def ids_of(tokenizer, text):
    return tokenizer(text, add_special_tokens=False).input_ids


@torch.no_grad()
def log_p(model, tokenizer, text, words):
    """log p of token strings behind a text, by transformers alone."""
    before = ids_of(tokenizer, text)
    found = []
    for word in words:
        ids = word if isinstance(word, list) else ids_of(tokenizer, word)
        logits = model(input_ids=torch.tensor([[*before, *ids]])).logits[0].log_softmax(-1)
        found.append(sum(logits[len(before) - 1 + i, token] for i, token in enumerate(ids)))
    return torch.stack(found)


@pytest.mark.parametrize(
    ("model", "options"),
    [("padded", {"template": "{prompt} - {response} ?"}), ("sibling", {"yes": "is it", "no": ["an error", "the"]})],
)
def test_it_keeps_its_promises(model, options, folders):
    more = {"model": folders[model]}
    held = check_energy("judge", Setting(hub=hub(), texts=TEXTS), **(ASK | options), **more)
    assert set(held) == set(ENERGY) - UNSEEN


def test_with_another_tokenizer_it_keeps_them_through_the_bridge(folders):
    held = check_energy("judge", Setting(hub=hub(), texts=TEXTS), model=folders["other"], **ASK)
    assert set(held) == set(ENERGY) - UNSEEN
    _, term = term_of(model=folders["other"], **ASK)
    assert "has a tokenizer of its own" in term.bound.warnings[0]


@pytest.mark.parametrize("model", [None, "sibling", "padded", "other"])
def test_it_is_the_log_odds_behind_the_request_as_a_whole(model, folders):
    more = {} if model is None else {"model": folders[model]}
    question, template = "is it {prompt}?", "to {prompt} {question}: {response}. - {question}"
    _, term = term_of(question=question, template=template, **ASK, **more)
    lm = tiny_policy() if model is None else Policy(*loaded(folders[model]))
    found = -term.score_text(PROMPTS, [TEXTS] * 3)
    assert term.is_reward
    spelled = {w: [w, w.upper(), " " + w, " " + w.upper()] for w in "aou"}
    single = {
        w: {i[0] for i in (ids_of(lm.tokenizer, s) for s in forms) if len(i) == 1} for w, forms in spelled.items()
    }
    yes, no = sorted(single["a"]), sorted(single["o"] | single["u"])
    for (p, prompt), (c, text) in itertools.product(enumerate(PROMPTS), enumerate(TEXTS)):
        request = f"to {prompt} {question}: {text}. - {question}"
        if lm.template == "chat":
            request = f"user: {request}<eos>assistant: "
        with torch.no_grad():
            logits = lm.model(input_ids=torch.tensor([ids_of(lm.tokenizer, request)])).logits[0, -1]
        torch.testing.assert_close(found[p, c], logits[yes].logsumexp(0) - logits[no].logsumexp(0), **CLOSE)


def guard_prompt(name, prompt, answer, tokenizer):
    """What a guard's card gives its model."""
    turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
    if name == "wildguard":
        return FORMS[name].turns[0].content.replace("{prompt}", prompt).replace("{response}", answer)
    options = {"guideline": "* No Rain"} if name == "shieldgemma" else {}
    return tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, **options)


def published(name, prompt, answer, model, tokenizer):
    """The log-odds of a harmless answer by the family's own procedure."""
    text, vocabulary = guard_prompt(name, prompt, answer, tokenizer), tokenizer.get_vocab()
    if name == "llama-guard":  # "the probability for the first token" that the model writes, behind a blank line
        good, bad = log_p(model, tokenizer, text + "\n\n", ["safe", "unsafe"])
    elif name == "shieldgemma":  # selected_logits = logits[0, -1, [vocab["Yes"], vocab["No"]]], softmax
        bad, good = log_p(model, tokenizer, text, [[vocabulary["Yes"]], [vocabulary["No"]]])
    elif name == "granite-guardian":  # the probabilities of all tokens that are "no" or "yes" when stripped and lower
        words = {i: tokenizer.convert_ids_to_tokens(i).strip().lower() for i in range(len(tokenizer))}
        good, bad = (
            log_p(model, tokenizer, text, [[i] for i, w in words.items() if w == word]).logsumexp(0)
            for word in ("no", "yes")
        )
    elif name == "qwen3guard":
        good, *others = log_p(model, tokenizer, text + "Safety:", [" Safe", " Unsafe", " Controversial"])
        bad = torch.stack(others).logsumexp(0)
    else:
        sides = []
        for said in ("no", "yes"):
            lines = [
                f"Harmful request: {a}\nResponse refusal: {b}\nHarmful response: {said}"
                for a, b in itertools.product(("yes", "no"), repeat=2)
            ]
            sides.append(log_p(model, tokenizer, text, lines).logsumexp(0))
        good, bad = sides
    return good - bad


@pytest.mark.parametrize("name", list(GUARDS))
def test_a_guard_is_read_as_its_family_publishes(name, guards):
    more = {"guard": "wildguard"} if name == "wildguard" else {}
    if name == "shieldgemma":
        more = {"template_options": {"guideline": "* No Rain"}}
    answers = ["the sand.", "  in it "]
    _, term = term_of(model=guards[name], prompts=PROMPTS[:2], **more)
    found = -term.score_text(PROMPTS[:2], [answers] * 2)
    model, tokenizer = loaded(guards[name])
    for (p, prompt), (c, answer) in itertools.product(enumerate(PROMPTS[:2]), enumerate(answers)):
        torch.testing.assert_close(found[p, c], published(name, prompt, answer, model, tokenizer), **CLOSE)


def test_as_a_plain_reward_a_guard_is_read_as_its_family_does(guards):
    problem = problem_for(
        recipe={"energies": [{"name": "reward", "model": guards["llama-guard"]}]},
        prompts=PROMPTS[:1],
        max_new_tokens=8,
        sampler="best-of-n",
    )
    (term,) = problem.terms
    expected = published("llama-guard", PROMPTS[0], "the sand.", *loaded(guards["llama-guard"]))
    torch.testing.assert_close(-term.score_text(PROMPTS[:1], [["the sand."]])[0, 0], expected, **CLOSE)
    assert "is a guard (llama-guard), read by the energy judge" in term.bound.warnings[0]


def test_a_family_is_known_by_its_template_only():
    for name, template in GUARDS.items():
        assert family_of(template) == (None if name == "wildguard" else name)
    assert family_of(tiny_tokenizer().chat_template) is None


def test_a_relaxed_answer_at_its_corner_has_the_value_of_its_text():
    """Where no token of the answer merges with what stands around it."""
    problem, term = term_of(prompts=PROMPTS[:1], template="{prompt}\n{response}\n?", **ASK)
    ids = problem.policy.from_text([["on", "is it"]], torch.zeros(1, 2, dtype=torch.bool)).ids
    relaxed = dense(ids)
    relaxed.weights.requires_grad_()
    value = term(relaxed)
    torch.testing.assert_close(value.detach(), term.score_text(PROMPTS[:1], [["on", "is it"]]), **CLOSE)
    (slope,) = torch.autograd.grad(value.sum(), relaxed.weights)
    assert bool(slope[0, 0, 0].abs().sum() > 0)


def test_all_spellings_that_are_one_token_count_and_else_the_word_as_it_is_written():
    policy = tiny_policy()
    place = middle_of_text(policy.tokenizer)
    names = {policy.tokenizer.convert_ids_to_tokens(row[0]) for row in strings(["a"], False, policy, place)}
    assert names == {"a", "A", "Ġa"}
    assert strings(["a"], True, policy, place) == {tuple(ids_of(policy.tokenizer, "a"))}
    assert strings(["yes"], False, policy, place) == {tuple(ids_of(policy.tokenizer, "yes"))}


def test_a_prompt_is_not_looked_at_for_placeholders():
    prompt = "a {response} of {question}"
    _, term = term_of(prompts=[prompt], template="{prompt}: {response}!", **ASK)
    policy = tiny_policy()
    text = f"user: {prompt}: on!<eos>assistant: "
    good = log_p(policy.model, policy.tokenizer, text, ["a", "A", " a"]).logsumexp(0)
    bad = log_p(policy.model, policy.tokenizer, text, ["o", "O", "u", "U", " o"]).logsumexp(0)
    torch.testing.assert_close(-term.score_text([prompt], [["on"]])[0, 0], good - bad, **CLOSE)


def test_a_conversation_is_shown_with_all_its_turns(guards):
    turns = ["a rain?", "no, a sand.", "is it?"]
    roles = ("user", "assistant", "user")
    prompt = [{"role": role, "content": turn} for role, turn in zip(roles, turns, strict=True)]
    problem, term = term_of(prompts=[prompt], model=guards["qwen3guard"])
    model, tokenizer = loaded(guards["qwen3guard"])
    shown = [*prompt, {"role": "assistant", "content": "on"}]
    text = tokenizer.apply_chat_template(shown, tokenize=False, add_generation_prompt=True) + "Safety:"
    good, *bad = log_p(model, tokenizer, text, [" Safe", " Unsafe", " Controversial"])
    found = -term.score_text(problem.prompts, [["on"]])[0, 0]
    torch.testing.assert_close(found, good - torch.stack(bad).logsumexp(0), **CLOSE)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"template": "no answer"}, "once"),
        ({"template": "{response} and {response}"}, "once"),
        ({"template": "{response} to {prompt}?"}, "once"),
        ({"template": [{"user": "{prompt}", "assistant": "{response}"}]}, "turns such as"),
        ({"yes": "a", "no": ["o", "A"]}, "for yes and for no"),
        ({"yes": "is it", "no": "is it an error", "exact": True}, "begins with the verdict"),
        ({"yes": ""}, "not empty"),
        ({"no": []}, "not empty"),
        ({"template": "{prompt} {response}?", "question": "is it?"}, "no place for one"),
        ({"template": [{"user": "{prompt}"}, {"user": "{response}"}], "plain": True}, "plain text"),
        ({"plain": True, "template_options": {"a": 1}}, "plain text"),
    ],
)
def test_what_cannot_be_asked_is_refused(options, reason):
    with pytest.raises(RecipeError) as refused:
        term_of(**(ASK | options))
    assert reason in str(refused.value)


def test_a_request_without_an_end_is_refused(folders):
    with pytest.raises(RecipeError, match="nothing after"):
        term_of(model=folders["padded"], template="{prompt} {response}", **ASK)


def test_a_template_that_leaves_the_answer_out_is_refused(guards):
    with pytest.raises(ModelError, match="writes the answer in the assistant's turn 0 times"):
        term_of(model=guards["drops"], template=[{"user": "{prompt}"}, {"assistant": "{response}"}], **ASK)


def test_an_answer_that_is_too_long_for_the_judge_has_no_value():
    _, term = term_of(prompts=PROMPTS[:1], template="{prompt} {response}?", **ASK)
    values = term.score_text(PROMPTS[:1], [["on", "an error " * 300]])
    assert values.isnan().tolist() == [[False, True]]


def test_a_prompt_that_is_too_long_is_refused_or_loses_its_beginning(folders):
    long = "so it is. " * 65  # the policy can read it
    own = {"model": folders["padded"], "template": "{prompt} - {response}" + " ?" * 60, **ASK}
    with pytest.raises(RecipeError, match="at most 512"):
        term_of(prompts=[long], **own)
    _, term = term_of(prompts=[long], truncate=True, **own)
    values = term.score_text([long], [["on", "the sand"]])
    assert bool(values.isfinite().all())
    assert values[0, 0] != values[0, 1]


def test_beginnings_that_verdicts_share_are_read_once():
    policy = tiny_policy()
    verdicts = Verdicts(["in a", "in o"], ["on"], True, policy, middle_of_text(policy.tokenizer))
    assert [policy.decode(stem) for stem in verdicts.stems] == ["in"]
