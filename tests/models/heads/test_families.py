"""Families with a head of their own: the score is that of their published forward pass, for the text they are shown."""

from __future__ import annotations

import json
import re

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers.processors import TemplateProcessing
from transformers import AddedToken, GPTNeoXConfig, GPTNeoXModel

from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.models.loading import load_classifier
from sea_toolkit.readers.bridge import plain_bridge
from sea_toolkit.readers.bridged_scorer import BridgedScorer
from sea_toolkit.readers.output_choice import OutputChoice
from sea_toolkit.readers.sequence_classifier import ClassifierReader
from sea_toolkit.readers.shown_to import shown_to
from sea_toolkit.testing.tiny import BOS, EOS, PAD, tiny_tokenizer
from tests.cli.commands import invoke
from tests.helpers import PROMPTS, dense, problem_for, random_ids, tiny_policy
from tests.models.folders import edit_config, save_classifier, save_policy
from tests.models.heads.checkpoints import hidden_of, layer, save_headed, states_of
from tests.readers.test_bridge import context_of

PROMPT, ANSWER = "Tell me about rain.", "It is so wet and warm."
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def tokenizer_with(folder, *, template=None, special=(), **tokens):
    """The tokenizer of a folder, saved again with other tokens or another template."""
    tokenizer = tiny_tokenizer()
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    tokenizer.chat_template = template
    if special:
        tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    if tokens:
        tokenizer.add_special_tokens(tokens)
    tokenizer.save_pretrained(folder)
    return tokenizer


def reader_of(folder, reads="auto"):
    model, tokenizer = load_classifier(folder, tiny_policy(), "rm")
    return ClassifierReader(model, shown_to(model, tokenizer, "rm", reads))


def scores(folder, reads="auto"):
    return reader_of(folder, reads).texts([PROMPT], [ANSWER])


def linear(tensors, name, hidden):
    return hidden @ tensors[f"{name}.weight"].T + tensors.get(f"{name}.bias", 0.0)


@pytest.mark.parametrize(
    ("tensors", "name", "config", "text"),
    [
        # openbmb/UltraRM-13b: its card; LlamaRewardModel reads where the attention mask ends
        (layer("regression_head", bias=False), "regression_head", {}, "Human: {p}\nAssistant: {a}"),
        # openbmb/Eurus-RM-7b: its card
        (
            layer("regression_head", bias=False),
            "regression_head",
            {"architectures": ["EurusRewardModel"]},
            "[INST] {p} [\\INST] {a}",
        ),
        # PKU-Alignment/beaver-7b-v1.0-reward: its card; ScoreModelMixin.get_scores
        (
            layer("score_head"),
            "score_head",
            {"score_type": "reward", "do_normalize": False},
            "BEGINNING OF CONVERSATION: USER: {p} ASSISTANT:{a}",
        ),
    ],
)
def test_a_family_without_a_chat_template_is_shown_its_own_conversation(tmp_path, tensors, name, config, text):
    folder = save_headed(tmp_path, tensors, **config)
    tokenizer = tokenizer_with(folder)
    ids = tokenizer(text.format(p=PROMPT, a=ANSWER), return_tensors="pt").input_ids
    torch.testing.assert_close(scores(folder), linear(tensors, name, hidden_of(folder, ids)), **CLOSE)


def test_the_tokenizers_special_tokens_come_around_such_a_conversation(tmp_path):
    folder = save_headed(tmp_path, layer("regression_head", bias=False))
    tokenizer = tokenizer_with(folder)
    tokenizer._tokenizer.post_processor = TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", BOS)])
    tokenizer.save_pretrained(folder)
    model, loaded = load_classifier(folder, tiny_policy(), "rm")
    expected = tokenizer(f"Human: {PROMPT}\nAssistant: {ANSWER}").input_ids
    assert expected[0] == BOS
    for truncate in (False, True):  # two energies share one tokenizer
        shown = shown_to(model, loaded, "rm", truncate=truncate)
        before, after = shown.frame(PROMPT)
        assert shown.ids(PROMPT, ANSWER) == expected
        assert [*before, *loaded(ANSWER, add_special_tokens=False).input_ids, *after][:3] == expected[:3]


@pytest.mark.parametrize(("kind", "where"), [("reward", "weights"), ("cost", "weights"), ("reward", "config")])
def test_running_statistics_normalize_the_score(tmp_path, kind, where):
    """PKU-Alignment/safe-rlhf, models/normalizer.py: affine for rewards, scale for costs."""
    tensors, mean, var = layer("score_head"), torch.tensor([1.5]), torch.tensor([4.0])
    own = {"normalizer.mean": mean, "normalizer.var": var, "normalizer.count": torch.tensor([7])}
    config = {"score_type": kind, "do_normalize": True}
    folder = save_headed(tmp_path, tensors | (own if where == "weights" else {}), **config)
    if where == "config":
        edit_config(folder, mean=[1.5], var=[4.0])
    raw = linear(tensors, "score_head", hidden_of(folder, tiny_tokenizer()(ANSWER, return_tensors="pt").input_ids))
    expected = (raw - (mean if kind == "reward" else 0.0)) / (var.sqrt() + 1e-8)
    torch.testing.assert_close(scores(folder, "response"), expected, **CLOSE)


def test_a_normalizer_that_is_to_be_used_and_is_nowhere_is_an_error(tmp_path):
    folder = save_headed(tmp_path, layer("score_head"), do_normalize=True)
    with pytest.raises(ModelError, match=r"lacks normalizer\.mean"):
        reader_of(folder)
    edit_config(folder, score_type="risk")
    with pytest.raises(ModelError, match="score_type = 'risk'"):
        reader_of(folder)


def test_a_deep_value_head_has_a_relu_behind_each_layer_but_the_last(tmp_path):
    """Ray2333/GRM-*; allenai/reward-bench, models/grm.py: ValueHead."""
    first, last = layer("v_head.summary.0", rows=16), layer("v_head.summary.2", columns=16, seed=1)
    folder = save_headed(tmp_path, first | last)
    ids = tiny_tokenizer()(ANSWER, return_tensors="pt").input_ids
    inner = linear(first, "v_head.summary.0", hidden_of(folder, ids)).relu()
    torch.testing.assert_close(scores(folder, "response"), linear(last, "v_head.summary.2", inner), **CLOSE)


@pytest.mark.parametrize("told_by", ["config", "tokenizer"])
def test_a_read_out_token_is_put_behind_the_text_and_read(tmp_path, told_by):
    """InternLM2-reward (`reward_token_id`) and Athene-RM (the tokenizer's [CLS]), allenai/reward-bench."""
    tensors = layer("v_head", bias=False)
    folder = save_headed(tmp_path, tensors)
    template = tiny_tokenizer().chat_template
    tokenizer = tokenizer_with(folder, template=template, **({"cls_token": "<bos>"} if told_by == "tokenizer" else {}))
    if told_by == "config":
        edit_config(folder, reward_token_id=BOS)
    turns = [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": ANSWER}]
    text = tokenizer.apply_chat_template(turns, tokenize=False)
    ids = torch.tensor([[*tokenizer(text, add_special_tokens=False).input_ids, BOS]])
    torch.testing.assert_close(scores(folder), linear(tensors, "v_head", hidden_of(folder, ids)), **CLOSE)


def test_a_reward_of_open_assistants_pythia(tmp_path):
    """LAION-AI/Open-Assistant, model_training/models/reward_model.py: GPTNeoXRewardModel, pooling "last"."""
    tensors = layer("out_proj")
    folder = save_headed(tmp_path, tensors, arch="gpt_neox")
    tokenizer = tokenizer_with(folder, special=["<|prompter|>", "<|assistant|>", "<|endoftext|>"])
    body = GPTNeoXModel.from_pretrained(folder, dtype=torch.float32).eval()
    body.resize_token_embeddings(len(tokenizer))
    body.save_pretrained(folder)
    path = folder / "model.safetensors"
    save_file({f"gpt_neox.{key}": value for key, value in load_file(path).items()} | tensors, path, {"format": "pt"})
    assert isinstance(body.config, GPTNeoXConfig)
    edit_config(folder, model_type="gpt_neox_reward_model", architectures=["GPTNeoXRewardModel"], pooling="last")
    text = f"<|prompter|>{PROMPT}<|endoftext|><|assistant|>{ANSWER}<|endoftext|>"
    with torch.no_grad():
        hidden = body(tokenizer(text, return_tensors="pt").input_ids).last_hidden_state[:, -1]
    torch.testing.assert_close(scores(folder), linear(tensors, "out_proj", hidden), **CLOSE)
    edit_config(folder, pooling="mean")
    with pytest.raises(ModelError, match="reads the mean of all hidden states"):
        reader_of(folder)


def as_internlm2(folder):
    """A Llama's tensors as InternLM2 has them: rearrange(wqkv, "(h gs d) -> h gs d", gs = 2 + groups)."""
    path = folder / "model.safetensors"
    weights, renamed = load_file(path), {}
    names = {
        "self_attn.o_proj": "attention.wo", "mlp.gate_proj": "feed_forward.w1", "mlp.up_proj": "feed_forward.w3",
        "mlp.down_proj": "feed_forward.w2", "input_layernorm": "attention_norm", "embed_tokens": "tok_embeddings",
        "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    for key, tensor in weights.items():
        if "lm_head" in key or re.search("[kv]_proj", key):
            continue
        if "q_proj" in key:
            q, k, v = (weights[key.replace("q_proj", f"{one}_proj")] for one in "qkv")
            groups = [torch.cat([q[16 * h :][:16], k[8 * h :][:8], v[8 * h :][:8]]) for h in range(2)]
            renamed[key.replace("self_attn.q_proj", "attention.wqkv")] = torch.cat(groups)
            continue
        renamed[re.sub("|".join(map(re.escape, names)), lambda found: names[found[0]], key)] = tensor
    save_file(renamed, path, {"format": "pt"})


def test_internlm2_reward_is_a_llama_under_other_names(tmp_path):
    """internlm/internlm2-7b-reward: InternLM2ForRewardModel.get_score, with its read-out token."""
    folder = save_headed(tmp_path, {})
    tokenizer = tokenizer_with(folder, template=tiny_tokenizer().chat_template)
    turns = [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": ANSWER}]
    text = tokenizer.apply_chat_template(turns, tokenize=False)
    ids = torch.tensor([[*tokenizer(text, add_special_tokens=False).input_ids, BOS]])
    tensors = layer("v_head", bias=False)
    expected = linear(tensors, "v_head", hidden_of(folder, ids))
    as_internlm2(folder)
    path = folder / "model.safetensors"
    save_file(load_file(path) | tensors, path, {"format": "pt"})
    auto_map = {"AutoModel": "modeling_internlm2.InternLM2ForRewardModel"}
    edit_config(folder, model_type="internlm2", architectures=["InternLM2ForRewardModel"], auto_map=auto_map)
    edit_config(folder, reward_token_id=BOS)
    torch.testing.assert_close(scores(folder), expected, **CLOSE)


def test_a_folder_is_enough_on_the_command_line(tmp_path):
    policy, folder = save_policy(tmp_path / "policy"), save_headed(tmp_path / "rm", layer("score_head"))
    tokenizer = tokenizer_with(folder)
    words = ["Hi", "--model", str(policy), "--reward", f"{folder}=8", "--max-new-tokens", "4", "--steps", "1", "--json"]
    result = invoke("align", *words, "--device", "cpu", "--dtype", "float32")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    text = f"BEGINNING OF CONVERSATION: USER: Hi ASSISTANT:{found['response']}"
    ids = tokenizer(text, return_tensors="pt").input_ids
    expected = linear(layer("score_head"), "score_head", hidden_of(folder, ids))
    assert found["rewards"]["rm"]["after"] == pytest.approx(float(expected), abs=1e-4)


PATTERN = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
HEADERS = ["<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"]
LLAMA3 = (
    "{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n{{ m['content'] }}<|eot_id|>"
    "{% endfor %}"
)


def gated_folder(folder, quantiles=1, seed=0):
    """ArmoRM with three objectives, or QRM, whose gates have no bias and a batch normalization between them."""
    g = torch.Generator().manual_seed(seed)
    objectives = 3
    tensors = layer("regression_layer", rows=objectives * quantiles, bias=False)
    tensors["reward_transform_matrix"] = torch.randn(objectives, objectives, generator=g)
    tensors["gating.logit_scale"] = torch.tensor([1.7])
    if quantiles == 1:
        tensors |= layer("gating.layers.0", rows=8, seed=1) | layer("gating.layers.1", rows=8, columns=8, seed=2)
        tensors |= layer("gating.layers.2", rows=objectives, columns=8, seed=3)
    else:
        tensors |= layer("gating.layers.0", rows=8, bias=False, seed=1)
        tensors |= {"gating.layers.2.weight": torch.rand(8, generator=g), "gating.layers.2.bias": torch.rand(8)}
        tensors |= {f"gating.layers.2.running_{part}": torch.rand(8, generator=g) + 0.1 for part in ("mean", "var")}
        tensors["gating.layers.2.num_batches_tracked"] = torch.tensor(3)
        tensors |= layer("gating.layers.3", rows=objectives, columns=8, seed=3)
    save_headed(folder, tensors, gating_temperature=2.0, num_objectives=objectives, num_quantiles=quantiles)
    tokenizer = tokenizer_with(folder, template=LLAMA3, special=HEADERS)
    grow(folder, len(tokenizer))
    return tensors, tokenizer


def grow(folder, rows):
    """Give the embedding rows for the tokens that a tokenizer has gained."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    g = torch.Generator().manual_seed(9)
    for key in ("model.embed_tokens.weight", "lm_head.weight"):
        if key in weights:
            more = torch.randn(rows - len(weights[key]), weights[key].shape[1], generator=g)
            weights[key] = torch.cat([weights[key], 0.15 * more])
    save_file(weights, path, {"format": "pt"})
    edit_config(folder, vocab_size=rows)


def find_token_for_gating(ids, pattern):
    """RLHFlow/RLHF-Reward-Modeling: where the pattern begins, the last time."""
    for j in range(len(ids) - len(pattern), -1, -1):
        if ids[j : j + len(pattern)] == pattern:
            return j
    raise ValueError


def published(folder, tensors, tokenizer, quantiles, text):
    """LlamaForRewardModelWithGating of ArmoRM, and of QRM (allenai/reward-bench, models/qrm.py), in the clear."""
    row = tokenizer(text, add_special_tokens=False).input_ids
    states = states_of(folder, torch.tensor([row]))
    rewards = (states[:, -1] @ tensors["regression_layer.weight"].T).reshape(1, 3, quantiles).mean(2)
    at = find_token_for_gating(row, tokenizer(PATTERN, add_special_tokens=False).input_ids)
    x = states[:, at]
    if quantiles == 1:
        x = linear(tensors, "gating.layers.0", x).relu()
        x = linear(tensors, "gating.layers.1", x).relu()
        x = linear(tensors, "gating.layers.2", x)
    else:
        x = (x @ tensors["gating.layers.0.weight"].T).relu()
        mean, var = (tensors[f"gating.layers.2.running_{part}"] for part in ("mean", "var"))
        x = (x - mean) / (var + 1e-5).sqrt() * tensors["gating.layers.2.weight"] + tensors["gating.layers.2.bias"]
        x = linear(tensors, "gating.layers.3", x)
    gates = torch.softmax(x / 2.0, 1) * tensors["gating.logit_scale"]
    objectives = rewards @ tensors["reward_transform_matrix"]
    return (gates * objectives).sum(1), objectives


@pytest.mark.parametrize("quantiles", [1, 5])
def test_objectives_are_weighed_by_a_network_at_the_end_of_the_prompt(tmp_path, quantiles):
    tensors, tokenizer = gated_folder(tmp_path, quantiles)
    turns = [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": ANSWER}]
    text = tokenizer.apply_chat_template(turns, tokenize=False)
    score, objectives = published(tmp_path, tensors, tokenizer, quantiles, text)
    reader = reader_of(tmp_path)
    outputs = reader.texts([PROMPT], [ANSWER])
    torch.testing.assert_close(outputs, torch.cat([score[:, None], objectives], 1), **CLOSE)
    choice = OutputChoice.of(reader.model.config, "rm", None)
    torch.testing.assert_close(choice(outputs), score, **CLOSE)
    named = OutputChoice.of(reader.model.config, "rm", "objective_1")
    torch.testing.assert_close(named(outputs), objectives[:, 1], **CLOSE)


def test_a_gated_reward_guides(tmp_path):
    gated_folder(tmp_path)
    recipe = {"energies": [{"name": "reward", "model": str(tmp_path)}]}
    term = problem_for(recipe=recipe, prompts=[PROMPT], max_new_tokens=6).terms[0]
    relaxed = dense(random_ids(1, 2, 6, low=10))
    relaxed.weights.requires_grad_()
    energy = term(relaxed)
    (slope,) = torch.autograd.grad(energy.sum(), relaxed.weights)
    assert bool(slope.abs().sum() > 0)
    assert bool(slope.isfinite().all())


@pytest.mark.parametrize("kind", ["gated", "read-out token", "padding"])
def test_every_way_to_read_goes_through_the_bridge(tmp_path, kind):
    """A model with other tokens than the policy: the value is the model's own, and the gradient reaches the answer."""
    if kind == "gated":
        gated_folder(tmp_path)
    elif kind == "read-out token":
        save_headed(tmp_path, layer("v_head", bias=False), reward_token_id=BOS)
    else:
        save_classifier(tmp_path)
        edit_config(tmp_path, pad_token_id=EOS)
    reader, policy = reader_of(tmp_path), tiny_policy()
    scorer = BridgedScorer(reader, plain_bridge(reader, policy), context_of(policy))
    texts = [["the rain is over. ", "so warm"], ["No", "a wonderful thing"]]
    tapped = policy.from_text(texts, torch.zeros(2, 2) > 0).with_gradient_taps()
    outputs = scorer(tapped)
    for p, row in enumerate(texts):
        own = reader.texts([PROMPTS[p]] * 2, row)
        torch.testing.assert_close(outputs[p].detach(), own, **CLOSE)
    slope = tapped.taps.gradient(outputs[..., 0].sum()).over_vocabulary(1, policy.vocab_size)
    assert bool(slope.isfinite().all())
    assert bool((slope.abs().sum(-1) > 0).all())


def test_a_gated_reward_needs_the_place_that_its_gates_read(tmp_path):
    gated_folder(tmp_path)
    with pytest.raises(RecipeError, match="not in the text it reads"):
        reader_of(tmp_path, "response")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: {k: v for k, v in t.items() if "gating.layers" not in k}, "lacks weights: gating.layers"),
        (lambda t: {k: v for k, v in t.items() if "transform" not in k}, "lacks weights: reward_transform_matrix"),
        (lambda t: t | layer("regression_layer", rows=4, bias=False), "has 4 outputs, and its gates weigh 3"),
        (
            lambda t: t | layer("gating.layers.1", rows=8, columns=9),
            r"the head gating.layers of rm is \[8, 32\], \[8, 9\]",
        ),
    ],
)
def test_a_gated_head_that_is_not_whole_is_an_error(tmp_path, change, message):
    gated_folder(tmp_path)
    path = tmp_path / "model.safetensors"
    save_file(change(load_file(path)), path, {"format": "pt"})
    with pytest.raises(ModelError, match=message):
        reader_of(tmp_path)


def test_gates_of_an_unknown_body_are_refused(tmp_path):
    tensors = layer("regression_layer", rows=2, bias=False) | layer("gating.layers.0", rows=2)
    with pytest.raises(ModelError, match="whose tokens in qwen2 are not known"):
        reader_of(save_headed(tmp_path, tensors, arch="qwen2"))


def test_where_the_padding_token_ends_a_turn_transformers_reads_before_it(tmp_path):
    """A reward trained with pad_token = eos_token."""
    folder = save_classifier(tmp_path)
    edit_config(folder, pad_token_id=EOS)
    reader = reader_of(folder)
    turns = [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": ANSWER}]
    text = reader.shown.tokenizer.apply_chat_template(turns, tokenize=False)
    ids = reader.shown.tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
    assert int(ids[0, -1]) == EOS != PAD
    with torch.no_grad():
        torch.testing.assert_close(reader.texts([PROMPT], [ANSWER]), reader.model(ids).logits, **CLOSE)
    recipe = {"energies": [{"name": "reward", "model": str(folder)}]}
    term = problem_for(recipe=recipe, prompts=[PROMPT], max_new_tokens=24).terms[0]
    energy = term(tiny_policy().from_text([[ANSWER]], torch.zeros(1, 1) > 0).with_gradient_taps())
    with torch.no_grad():
        torch.testing.assert_close(-energy.detach(), reader.model(ids).logits, **CLOSE)


@pytest.mark.parametrize("kind", ["gated", "read-out token", "padding", "normalized"])
def test_an_empty_answer_has_the_score_of_its_frame(tmp_path, kind):
    """Token by token it is that of the whole text, and it disturbs no neighbor."""
    if kind == "gated":
        gated_folder(tmp_path)
    elif kind == "read-out token":
        save_headed(tmp_path, layer("v_head", bias=False), reward_token_id=BOS)
    elif kind == "padding":
        save_classifier(tmp_path)
        edit_config(tmp_path, pad_token_id=EOS)
    else:
        save_headed(tmp_path, layer("score_head"))
        tokenizer_with(tmp_path)
    recipe = {"energies": [{"name": "reward", "model": str(tmp_path)}]}
    term = problem_for(recipe=recipe, prompts=[PROMPT], max_new_tokens=6).terms[0]
    ids = random_ids(1, 2, 6, low=10)
    ids[0, 0] = EOS
    response = dense(ids)
    response.weights.requires_grad_()
    found = -term(response)[0].detach()
    reader = reader_of(tmp_path)
    choice = OutputChoice.of(reader.model.config, "rm", None)
    torch.testing.assert_close(found[:1], choice(reader.texts([PROMPT], [""])), **CLOSE)
    alone = dense(ids[:, 1:])
    torch.testing.assert_close(found[1:], -term(alone)[0].detach(), **CLOSE)
