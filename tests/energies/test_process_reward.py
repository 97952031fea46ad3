"""`process-reward`: each family's scores of steps, as its own published code gives them, and one number of them."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken
from torch import nn
from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer, LlamaForTokenClassification

from sea_toolkit.energies.process_reward.combine import combined
from sea_toolkit.energies.reward import Reward
from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.testing import Setting, check_energy
from sea_toolkit.testing.energies.check import PROPERTIES as ENERGY
from sea_toolkit.testing.tiny import tiny_config, tiny_model, tiny_tokenizer
from tests.conventions.tokenizers import made
from tests.helpers import PROMPTS, UNSEEN, hub, problem_for

STEPS = ["the sand is in it.", "so it is on", "the answer is no"]
ANSWER = "\n\n".join(STEPS)
CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
CHAT = "{% for m in messages %}{{ m.role }}: {{ m.content }}<eos>{% endfor %}"
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def saved(folder, model, tokenizer, tensors=None, architectures=None):
    """A folder as a family publishes it, with the tensors of its head beside the body's."""
    if architectures is not None:
        model.config.architectures = architectures
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if architectures is not None:
        config = folder / "config.json"
        config.write_text(config.read_text().replace(model.__class__.__name__, architectures[0]))
    if tensors:
        path = folder / "model.safetensors"
        save_file(load_file(path) | tensors, path, {"format": "pt"})
    return str(folder)


def layer(name, rows, columns=32, seed=0):
    g = torch.Generator().manual_seed(seed)
    weight, bias = torch.randn(rows, columns, generator=g) / 2, torch.randn(rows, generator=g) / 2
    return {f"{name}.weight": weight, f"{name}.bias": bias}


HEADS = {
    "qwen-prm": layer("score.0", 32) | layer("score.2", 2, seed=1),
    "skywork-prm": layer("v_head.summary", 1, seed=2),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A tiny model of each family."""
    root, found = tmp_path_factory.mktemp("prms"), {}
    for name in ("math-shepherd", "rlhflow", "qwen-prm", "skywork-prm", "trl", "other"):
        tokenizer = made("byte-bpe") if name == "other" else tiny_tokenizer()
        if name == "math-shepherd":
            tokenizer.add_tokens([AddedToken(word, normalized=False) for word in (" ки", " +", " -")])
        if name == "qwen-prm":
            tokenizer.add_special_tokens({"additional_special_tokens": ["<extra_0>", "<|im_start|>", "<|im_end|>"]})
        tokenizer.chat_template = {"rlhflow": CHAT, "qwen-prm": CHATML}.get(name)
        size = len(tokenizer)
        if name == "trl":
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(3)
                model = LlamaForTokenClassification(
                    tiny_config("llama", size, initializer_range=0.15, num_hidden_layers=1)
                )
            model.score.bias.data += 0.3
        else:
            model = tiny_model("qwen2" if name in HEADS else "llama", size, seed=4, num_hidden_layers=1)
        kinds = {"qwen-prm": ["Qwen2ForProcessRewardModel"], "skywork-prm": ["Qwen2ForPrmModel"]}
        found[name] = saved(root / name, model, tokenizer, HEADS.get(name), kinds.get(name))
    return found


def term_of(prompts=PROMPTS[:1], **options):
    problem = problem_for(
        recipe={"energies": [{"name": "process-reward", **options}]},
        prompts=prompts,
        max_new_tokens=8,
        sampler="best-of-n",
    )
    return problem, problem.terms[0]


def scores(term, prompt, answers):
    return (-term.score_text([prompt], [answers]))[0]


@torch.no_grad()
def math_shepherd(folder, prompt, steps):
    """The usage of peiyi9979/math-shepherd-mistral-7b-prm's model card."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
    candidate_tokens = [tokenizer.convert_tokens_to_ids(t) for t in (" +", " -")]  # [648, 387]: ▁+ and ▁-
    step_tag_id = tokenizer.convert_tokens_to_ids(" ки")  # 12902: ▁ки
    output = "\n".join(f"{step} ки" for step in steps)
    input_id = torch.tensor([tokenizer.encode(f"{prompt} {output}")])
    logits = model(input_id).logits[:, :, candidate_tokens]
    return logits.softmax(dim=-1)[:, :, 0][input_id == step_tag_id]


@torch.no_grad()
def rlhflow(folder, prompt, steps):
    """`select_sample` of RLHFlow/RLHF-Reward-Modeling, math-rm/prm_evaluate.py."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
    candidate_tokens = [tokenizer.encode("+")[-1], tokenizer.encode("-")[-1]]
    conversation, single_step_score = [], []
    for k, step in enumerate(steps):
        text = f"{prompt} {step}" if k == 0 else step
        conversation.append({"content": text, "role": "user"})
        conversation.append({"content": "+", "role": "assistant"})
        input_ids = tokenizer.apply_chat_template(conversation, return_tensors="pt", return_dict=True).input_ids
        logits = model(input_ids).logits[:, -3, candidate_tokens]
        single_step_score.append(logits.softmax(dim=-1)[:, 0])
    return torch.cat(single_step_score)


@torch.no_grad()
def qwen_prm(folder, prompt, steps):
    """The usage of Qwen/Qwen2.5-Math-PRM-7B's model card; `Qwen2ForProcessRewardModel` is a body with this head."""
    tokenizer, body = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    head = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
    head.load_state_dict({key.removeprefix("score."): value for key, value in HEADS["qwen-prm"].items()})
    messages = [
        {"role": "system", "content": "Please reason step by step, and put your final answer within \\boxed{}."},
        {"role": "user", "content": prompt},
        {"role": "assistant", "content": "<extra_0>".join(steps) + "<extra_0>"},
    ]
    conversation = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=False)
    input_ids = tokenizer.encode(conversation, return_tensors="pt")
    outputs = head(body(input_ids=input_ids).last_hidden_state)
    token_masks = input_ids == tokenizer.encode("<extra_0>")[0]
    probabilities = outputs.softmax(dim=-1) * token_masks.unsqueeze(-1)
    sample = probabilities[0]
    return sample[sample != 0].view(-1, 2)[:, 1]


@torch.no_grad()
def skywork_prm(folder, prompt, steps):
    """`prepare_input` and the value head of SkyworkAI/skywork-o1-prm-inference, with step_token="\\n"."""
    tokenizer, body = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    input_ids, reward_flags = tokenizer.encode(tokenizer.bos_token + prompt + "\n"), []
    reward_flags += [0] * len(input_ids)
    for step in steps:
        step_ids = [*tokenizer.encode(step), tokenizer.encode("\n")[-1]]
        input_ids += step_ids
        reward_flags += [*[0] * (len(step_ids) - 1), 1]
    hidden = body(input_ids=torch.tensor([input_ids])).last_hidden_state
    head = HEADS["skywork-prm"]
    rewards = torch.sigmoid(hidden @ head["v_head.summary.weight"].T + head["v_head.summary.bias"])[0, :, 0]
    return rewards[torch.tensor(reward_flags) == 1]


@torch.no_grad()
def trl(folder, prompt, steps):
    """The labelled tokens of TRL's `PRMTrainer.tokenize_row`, with step_separator="\\n"."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = LlamaForTokenClassification.from_pretrained(folder).eval()
    separator = tokenizer.encode("\n", add_special_tokens=False)
    ids = [tokenizer.bos_token_id, *tokenizer(prompt, add_special_tokens=False)["input_ids"]]
    labelled = []
    for step in steps:
        ids += [*tokenizer(step, add_special_tokens=False)["input_ids"], *separator]
        labelled.append(len(ids) - 1)
    return model(torch.tensor([ids])).logits[0, labelled].softmax(-1)[:, 1]


PUBLISHED = {
    "math-shepherd": math_shepherd,
    "rlhflow": rlhflow,
    "qwen-prm": qwen_prm,
    "skywork-prm": skywork_prm,
    "trl": trl,
}


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_a_family_scores_steps_as_it_publishes(name, folders):
    known = name in ("qwen-prm", "skywork-prm", "trl")  # by their config
    more = {} if known else {"family": name}
    between = r"\n" if name in ("skywork-prm", "trl") else r"\n\n"
    joined = ANSWER.replace("\n\n", "\n") if between == r"\n" else ANSWER
    expected = PUBLISHED[name](folders[name], PROMPTS[0], STEPS)
    assert len(expected) == 3
    for combine, value in (
        ("last", expected[-1]), ("min", expected.min()), ("mean", expected.mean()), ("product", expected.prod()),
    ):  # fmt: skip
        _, term = term_of(model=folders[name], combine=combine, **more)
        torch.testing.assert_close(scores(term, PROMPTS[0], [joined])[0], value, **CLOSE)
    one = PUBLISHED[name](folders[name], PROMPTS[0], STEPS[:1])[0]
    torch.testing.assert_close(scores(term, PROMPTS[0], [STEPS[0]])[0], one, **CLOSE)


def test_it_keeps_its_promises(folders):
    texts = ["the sand", "is it so\n\nit is on", "no"]
    held = check_energy("process-reward", Setting(hub=hub(), texts=texts), model=folders["qwen-prm"], value="log-odds")
    assert set(held) == set(ENERGY) - UNSEEN


def test_another_tokenizer_is_read_through_the_bridge(folders):
    problem, term = term_of(
        model=folders["other"], separator="\n", cut="steps", good="+", bad="-", template="{prompt}\n{response}"
    )
    assert "has a tokenizer of its own" in term.bound.warnings[0]
    response = problem.policy.from_text([[ANSWER]], torch.zeros(1, 1, dtype=torch.bool))
    tapped = response.with_gradient_taps()
    value = term(tapped)
    torch.testing.assert_close(value.detach(), term.score_text(PROMPTS[:1], [[ANSWER]]), **CLOSE)
    gradient = tapped.taps.gradient(value.sum())
    slopes = [float(gradient.over_vocabulary(t, 128).abs().sum()) for t in range(response.shape[2])]
    assert slopes[0] > 0
    assert all(math.isfinite(slope) for slope in slopes)


def test_a_blank_answer_is_one_empty_step_and_blank_steps_are_none(folders):
    _, term = term_of(model=folders["qwen-prm"])
    found = scores(term, PROMPTS[0], ["", "\n\n \n\n", "on", "\n\non\n\n"])
    expected = [qwen_prm(folders["qwen-prm"], PROMPTS[0], [step])[0] for step in ("", "", "on", "on")]
    torch.testing.assert_close(found, torch.stack(expected), **CLOSE)


def test_a_text_that_is_too_long_has_no_value(folders):
    _, term = term_of(model=folders["qwen-prm"])
    assert scores(term, PROMPTS[0], ["on", "an error " * 300]).isnan().tolist() == [False, True]


def test_a_separator_that_merges_with_its_neighbours_is_refused(folders):
    own = {"model": folders["other"], "good": "+", "bad": "-", "template": "{prompt} {response}"}
    with pytest.raises(RecipeError, match="writes neighbours into the tokens") as refused:
        term_of(separator="th", between="e ", **own)
    assert 'cut = "steps"' in str(refused.value)
    _, term = term_of(separator="th", between="e ", cut="steps", **own)
    assert bool(scores(term, PROMPTS[0], [ANSWER]).isfinite().all())


def test_a_text_whose_step_merges_with_its_separator_has_no_value(folders):
    own = {"model": folders["other"], "good": "+", "bad": "-", "template": "{prompt} {response}"}
    _, term = term_of(separator="s", between="!", **own)
    assert scores(term, PROMPTS[0], ["so on.", "it i", "so. i"]).isnan().tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"family": "math-shepherd", "good": "is it"}, "good = 'is it'"),
        ({"family": "math-shepherd", "good": "is it so", "bad": " -"}, "two different tokens"),
        ({"family": "math-shepherd", "good": " -", "bad": " -"}, "two different tokens"),
        ({"family": "math-shepherd", "steps": "("}, "regular expression"),
        ({"family": "math-shepherd", "steps": "x*"}, "everywhere"),
        ({"family": "math-shepherd", "combine": "product", "value": "log-odds"}, "product of log-odds"),
        ({}, "nothing tells how"),
    ],
)
def test_what_cannot_be_read_is_refused(options, reason, folders):
    with pytest.raises(RecipeError, match=reason):
        term_of(model=folders["math-shepherd"], **options)


@pytest.mark.parametrize("name", ["qwen-prm", "trl"])
def test_as_a_plain_reward_it_is_read_as_its_family_does(name, folders):
    problem = problem_for(
        recipe={"energies": [{"name": "reward", "model": folders[name]}]},
        prompts=PROMPTS[:1],
        max_new_tokens=8,
        sampler="best-of-n",
    )
    (term,) = problem.terms
    expected = PUBLISHED[name](folders[name], PROMPTS[0], ["so on"])[0]
    torch.testing.assert_close(scores(term, PROMPTS[0], ["so on"])[0], expected, **CLOSE)
    assert f"is a process reward ({name}), read by the energy process-reward" in term.bound.warnings[0]
    with pytest.raises(ModelError, match="a classifier that reads whole texts"):
        Reward(model=folders[name]).reader(ModelFinder(hub()))
    with pytest.raises(ModelError, match="its recipe sets output"):
        problem_for(recipe={"energies": [{"name": "reward", "model": folders[name], "output": 1}]}, prompts=PROMPTS[:1])


def test_a_prompt_that_is_too_long_is_refused_or_loses_its_beginning(folders):
    long = "so it is. " * 65  # the policy can read it
    with pytest.raises(RecipeError, match="at most 512"):
        term_of(prompts=[long], model=folders["qwen-prm"])
    _, term = term_of(prompts=[long], model=folders["qwen-prm"], truncate=True)
    assert bool(scores(term, long, [ANSWER]).isfinite().all())


def test_the_policy_itself_has_no_head():
    with pytest.raises(RecipeError, match="no head"):
        term_of(separator="\n")


def test_a_language_model_without_a_head_is_refused(folders):
    with pytest.raises(ModelError, match=r"lacks weights: score.weight"):
        term_of(model=folders["math-shepherd"], separator="\n", template="{prompt} {response}")


@pytest.mark.parametrize("output", [2, "positive"])
def test_an_output_that_is_not_there_is_refused(output, folders):
    with pytest.raises(RecipeError, match="no output"):
        term_of(model=folders["qwen-prm"], output=output)


def test_a_template_that_leaves_a_step_out_is_refused(folders, tmp_path):
    tokenizer, model = (kind.from_pretrained(folders["rlhflow"]) for kind in (AutoTokenizer, AutoModelForCausalLM))
    tokenizer.chat_template = "{% for m in messages if m.role == 'user' %}{{ m.content }}<eos>{% endfor %}"
    with pytest.raises(ModelError, match="all steps and verdicts"):
        term_of(model=saved(tmp_path, model, tokenizer), family="rlhflow")


def test_verdicts_are_combined_over_the_steps_that_there_are():
    odds = torch.tensor([[1.0, -1.0, 5.0], [2.0, 7.0, 7.0], [0.0, 0.0, 0.0]])
    counts = torch.tensor([3, 1, 0])
    p = odds.sigmoid()
    for how, expected in (
        ("last", [p[0, 2], p[1, 0]]), ("min", [p[0, 1], p[1, 0]]), ("mean", [p[0].mean(), p[1, 0]]),
        ("product", [p[0].prod(), p[1, 0]]),
    ):  # fmt: skip
        found = combined(odds, counts, how, "probability")
        torch.testing.assert_close(found[:2], torch.stack(expected))
        assert bool(found[2].isnan())
    torch.testing.assert_close(combined(odds, counts, "min", "log-odds")[:2], torch.tensor([-1.0, 2.0]))
